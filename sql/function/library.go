package function

import "sync"

// Default returns the library of all built-in functions.
var Default = sync.OnceValue(func() *Library {
	return NewLibrary(
		stringFunctions(), bytesFunctions(), mathFunctions(), arrayFunctions(), mapFunctions(), conditionalFunctions(),
		dateTimeFunctions(), jsonFunctions(), jsonCollectionFunctions(), lambdaFunctions(), otherFunctions(), urlFunctions(), aggregateFunctions(), tableFunctions(),
	)
})

// The categories.
const (
	CategoryString      Category = "STRING"
	CategoryConversions Category = "CONVERSIONS"
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
