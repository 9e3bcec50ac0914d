package function

import "sync"

// Default returns the library of all built-in functions.
var Default = sync.OnceValue(func() *Library {
	return NewLibrary(
		stringFunctions(), mathFunctions(), arrayFunctions(), mapFunctions(), conditionalFunctions(),
		dateTimeFunctions(), jsonFunctions(), lambdaFunctions(), otherFunctions(), aggregateFunctions(), tableFunctions(),
	)
})

// The categories.
const (
	CategoryString      Category = "STRING"
	CategoryMath        Category = "MATHEMATICAL"
	CategoryArray       Category = "ARRAY"
	CategoryMap         Category = "MAP"
	CategoryConditional Category = "CONDITIONAL"
	CategoryDateTime    Category = "DATE_TIME"
	CategoryJSON        Category = "JSON"
	CategoryLambda      Category = "LAMBDA"
	CategoryRegex       Category = "REGULAR_EXPRESSION"
	CategoryURL         Category = "URL"
	CategoryOther       Category = "OTHER"
	CategoryAggregate   Category = "AGGREGATE"
	CategoryTable       Category = "TABLE"
)
