package function

import (
	"math"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

func mathFunctions() []Def {
	defs := []Def{
		{Name: "ABS", Kind: Scalar, Category: CategoryMath, Description: "The number without its sign.", Examples: []Example{{"ABS(-3)", "3"}},
			Signatures: sameNumber(func(x int64) int64 { return max(x, -x) }, math.Abs, func(x decimal128.Num, _ int) decimal128.Num { return x.Abs() })},
		{Name: "FLOOR", Kind: Scalar, Category: CategoryMath, Description: "The largest whole number not above.", Examples: []Example{{"FLOOR(-1.5E0)", "-2E0"}},
			Signatures: sameNumber(func(x int64) int64 { return x }, math.Floor, wholeDecimal(floorCut))},
		{Name: "CEIL", Kind: Scalar, Category: CategoryMath, Description: "The smallest whole number not below.", Examples: []Example{{"CEIL(1.2E0)", "2E0"}},
			Signatures: sameNumber(func(x int64) int64 { return x }, math.Ceil, wholeDecimal(ceilCut))},
		{Name: "ROUND", Kind: Scalar, Category: CategoryMath, Description: "The nearest whole number, halves up; or rounded to a number of decimals.",
			Signatures: roundingSignatures(javaRound, roundDouble, roundCut),
			Examples:   []Example{{"ROUND(2.5E0)", "CAST(3 AS BIGINT)"}, {"ROUND(1.255E0, 1)", "1.3E0"}, {"ROUND(1.25, 1)", "1.30"}, {"ROUND(1.55) = 2", "TRUE"}}},
		{Name: "TRUNC", Kind: Scalar, Category: CategoryMath, Description: "The number without its fraction; or cut after a number of decimals.",
			Signatures: roundingSignatures(truncWhole, truncDouble, truncCut),
			Examples:   []Example{{"TRUNC(-2.7E0)", "CAST(-2 AS BIGINT)"}, {"TRUNC(12345.678E0, 2)", "12345.67E0"}, {"TRUNC(12345.678E0, -1)", "12340E0"}, {"TRUNC(1.29, 1)", "1.20"}}},
		{Name: "SIGN", Kind: Scalar, Category: CategoryMath, Description: "-1, 0 or 1 by the number's sign.",
			Signatures: numeric("value", types.Int, signKernel), Examples: []Example{{"SIGN(-7)", "-1"}}},
		{Name: "POWER", Kind: Scalar, Category: CategoryMath, Description: "The first number to the power of the second.",
			Signatures: numeric("base, exponent", types.Double, double2(power)), Examples: []Example{{"POWER(2, 10)", "1024E0"}}},
		{Name: "ATAN2", Kind: Scalar, Category: CategoryMath, Description: "The angle of the point (x, y), in radians.",
			Signatures: numeric("y, x", types.Double, double2(atan2)), Examples: []Example{{"ATAN2(0, 1)", "0E0"}}},
		{Name: "LOG", Kind: Scalar, Category: CategoryMath, Description: "The natural logarithm, or the logarithm to a base.",
			Signatures: append(numeric("value", types.Double, doubleKernel(naturalLog)), numeric("base, value", types.Double, double2(logTo))...), Examples: []Example{{"LOG(2, 8)", "3E0"}}},
		{Name: "PI", Kind: Scalar, Category: CategoryMath, Description: "The circle's constant.",
			Signatures: []Signature{scalar("", types.Double, func(c *Call) (*vector.Vector, error) {
				v := vector.New(c.Arena, types.Double, c.N)
				for i := range v.F64 {
					v.F64[i] = math.Pi
				}
				return v, nil
			})}, Examples: []Example{{"ROUND(PI(), 2)", "3.14E0"}}},
		{Name: "RANDOM", Kind: Scalar, Category: CategoryMath, Description: "A random number from 0 up to 1.",
			Signatures: []Signature{{Returns: always(types.Double), Volatile: true, Scalar: plain(func(c *Call) (*vector.Vector, error) {
				v := vector.New(c.Arena, types.Double, c.N)
				for _, i := range c.Sel {
					v.F64[i] = float64(c.Rand()>>11) / (1 << 53)
				}
				return v, nil
			})}}, Examples: []Example{{"RANDOM() < 1", "TRUE"}}},
		extreme("GREATEST", "The largest of the values; nulls are left out.", 1, Example{"GREATEST(1, 3, 2)", "3"}),
		extreme("LEAST", "The smallest of the values; nulls are left out.", -1, Example{"LEAST('b', 'a')", "'a'"}),
	}
	for _, f := range []struct {
		name, description string
		f                 func(float64) float64
		example           Example
	}{
		{"SQRT", "The square root.", math.Sqrt, Example{"SQRT(9)", "3E0"}},
		{"CBRT", "The cube root.", cubeRoot, Example{"CBRT(8)", "2E0"}},
		{"EXP", "e to the power of the number.", exp, Example{"EXP(0)", "1E0"}},
		{"LN", "The natural logarithm.", naturalLog, Example{"LN(1)", "0E0"}},
		{"SIN", "The sine of an angle in radians.", sine, Example{"SIN(0)", "0E0"}},
		{"COS", "The cosine of an angle in radians.", cosine, Example{"COS(0)", "1E0"}},
		{"TAN", "The tangent of an angle in radians.", tangent, Example{"TAN(0)", "0E0"}},
		{"ASIN", "The arc sine in radians.", asin, Example{"ASIN(0)", "0E0"}},
		{"ACOS", "The arc cosine in radians.", acos, Example{"ACOS(1)", "0E0"}},
		{"ATAN", "The arc tangent in radians.", atan, Example{"ATAN(0)", "0E0"}},
		{"SINH", "The hyperbolic sine.", hyperbolicSine, Example{"SINH(0)", "0E0"}},
		{"COSH", "The hyperbolic cosine.", hyperbolicCosine, Example{"COSH(0)", "1E0"}},
		{"TANH", "The hyperbolic tangent.", hyperbolicTangent, Example{"TANH(0)", "0E0"}},
		{"COT", "The cotangent of an angle in radians; infinite at 0.", func(x float64) float64 { return 1 / tangent(x) }, Example{"ROUND(COT(PI() / 4), 6)", "1E0"}},
		{"DEGREES", "Radians as degrees.", func(x float64) float64 { return x * (180 / math.Pi) }, Example{"DEGREES(0)", "0E0"}},
		{"RADIANS", "Degrees as radians.", func(x float64) float64 { return x * (math.Pi / 180) }, Example{"RADIANS(0)", "0E0"}},
	} {
		param := "value"
		if f.name == "EXP" {
			param = "exponent"
		}
		defs = append(defs, Def{Name: f.name, Kind: Scalar, Category: CategoryMath, Description: f.description,
			Signatures: numeric(param, types.Double, doubleKernel(f.f)), Examples: []Example{f.example}})
	}
	return defs
}

func signKernel(c *Call) (*vector.Vector, error) {
	v, x := vector.New(c.Arena, types.Int, c.N), doubles(c, 0)
	for _, i := range c.Sel {
		if x[i] > 0 {
			v.I32[i] = 1
		} else if x[i] < 0 {
			v.I32[i] = -1
		}
	}
	return v, nil
}

// sameNumber gives the signatures of a function from each numeric type to itself.
func sameNumber(whole func(int64) int64, float func(float64) float64, dec func(decimal128.Num, int) decimal128.Num) []Signature {
	return []Signature{
		scalar("val INT", types.Int, intKernel(func(c *Call, i int) (int32, bool) { return int32(whole(int64(c.Args[0].I32[i]))), true })),
		scalar("val BIGINT", types.Bigint, bigintKernel(types.Bigint, func(c *Call, i int) (int64, bool) { return whole(c.Args[0].I64[i]), true })),
		scalar("val DOUBLE", types.Double, doubleKernel(float)),
		{Params: params("val DECIMAL"), Returns: sameAs(0), Scalar: func(args []Arg) (ScalarKernel, error) {
			return func(c *Call) (*vector.Vector, error) {
				v := vector.New(c.Arena, args[0].Type, c.N)
				for _, i := range c.Sel {
					v.Dec[i] = dec(c.Args[0].Dec[i], args[0].Type.Scale())
				}
				return v, nil
			}, nil
		}},
	}
}

// wholeDecimal cuts DECIMALs to whole numbers of the same type.
func wholeDecimal(cut decimalCut) func(decimal128.Num, int) decimal128.Num {
	return func(x decimal128.Num, scale int) decimal128.Num { return cut.apply(x, scale, 0, scale) }
}

// orderedTypes are the types whose values have an order.
var orderedTypes = []string{"INT", "BIGINT", "DOUBLE", "STRING", "BYTES", "DATE", "TIME", "TIMESTAMP", "DECIMALS"}

func extreme(name, description string, want int, e Example) Def {
	d := Def{Name: name, Kind: Scalar, Category: CategoryMath, Description: description, Examples: []Example{e}}
	for _, t := range orderedTypes {
		d.Signatures = append(d.Signatures, Signature{Params: params("val " + t + ", vals " + t + "..."), NullTolerant: true, Returns: sameAs(0), Scalar: plain(extremeKernel(want))})
	}
	return d
}

func extremeKernel(want int) ScalarKernel {
	return func(c *Call) (*vector.Vector, error) {
		return rows(c, c.Args[0].Type, func(b *vector.Builder, i int) {
			best := -1
			for k, a := range c.Args {
				if !a.IsNull(i) && (best < 0 || vector.Compare(a, i, c.Args[best], i) == want) {
					best = k
				}
			}
			if best >= 0 {
				b.Append(c.Args[best], i)
			}
		}), nil
	}
}
