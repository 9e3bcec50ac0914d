package function

// glossary says what parameters are: by their name, or by function and name
// where a function means something of its own.
var glossary = map[string]string{
	"altValue": "the value to use instead", "args": "the texts to choose from", "array": "the array", "base": "the base",
	"byteOrder": "BIG_ENDIAN or LITTLE_ENDIAN; the first if it is left out", "bytes": "the bytes", "decimalCode": "the code point", "utf16Code": "the UTF-16 code units, written \\uXXXX",
	"columns": "the array", "date": "the date", "days": "days since 1970-01-01", "decimalPlaces": "how many decimals stay; negative ones count before the point",
	"delimiter": "what stands between the parts", "digit": "what stands for a digit; NULL keeps digits", "direction": "ASC or DESC", "encoding": "hex, utf8, ascii or base64",
	"end": "the last number", "entryDelimiter": "what stands between the entries", "epochDays": "days since 1970-01-01", "epochMilli": "milliseconds since the epoch",
	"exponent": "the exponent", "expr1": "the value", "expr2": "what it is compared to", "expression": "the value", "first": "the value to prefer",
	"function": "what is computed of each element, or of each key and value", "group": "the number of a group in the expression; 0 is all of it",
	"ignoreNulls": "whether nulls are left out, as they are by default", "in": "the array", "input": "the text",
	"inputs": "the parts", "interval": "how many units", "jsonArray": "a JSON array", "jsonItems": "a JSON array", "jsonObj": "a JSON object", "jsonStrings": "JSON texts",
	"k": "how many values", "keyColumn": "the key column", "keys": "the keys", "lat1": "the first point's latitude in degrees", "lat2": "the second point's latitude in degrees",
	"left": "the first array", "length": "how many characters or bytes at most", "targetLen": "how many characters or bytes", "list": "the array", "lon1": "the first point's longitude in degrees",
	"lon2": "the second point's longitude in degrees", "lower": "what stands for a small letter; NULL keeps them", "map": "the map", "map1": "the first map", "map2": "the map whose entries win",
	"n": "how many values", "newStr": "what stands in its place", "numChars": "how many characters", "occurrence": "which occurrence, 1 being the first",
	"oldStr": "the text to replace", "other": "what stands for any other character; NULL keeps them", "others": "the values to try then", "padding": "what to fill with, repeated",
	"paramToFind": "the parameter's name", "path": "the path, from $", "formatPattern": "a date pattern of Java's DateTimeFormatter, such as yyyy-MM-dd",
	"pos": "the position of the first character", "position": "where the search begins; a negative one searches backwards from the end", "regexp": "a regular expression of Java's",
	"right": "the second array", "s": "the text", "separator": "what stands between the parts", "sorted": "whether the entries are sorted by key", "start": "the first number",
	"initialState": "the value to start with", "step": "how far the numbers are apart; 1 or -1 if it is left out", "str": "the text", "string": "the text", "substring": "the text to look for",
	"formattedDate": "the date as text", "formattedTime": "the time as text", "formattedTimestamp": "the timestamp as text", "time": "the time", "timestamp": "the timestamp", "unit": "MILLISECONDS, SECONDS, MINUTES, HOURS, DAYS, WEEKS, MONTHS or YEARS, or one of it, a bare word", "units": "KM or MILES",
	"upper": "what stands for a capital letter; NULL keeps them", "val": "the value", "vals": "further values", "value": "the value", "kvDelimiter": "what stands between a key and its value",
	"values": "the values", "victim": "the value to remove", "x": "the first number", "y": "the second number", "timeZone": "a time zone, such as Europe/Paris or +02:00; UTC if it is left out",

	"ARRAY_JOIN delimiter": "what stands between the elements, a comma if it is left out", "ARRAY_SORT input": "the array", "ARRAY_MAX input": "the array", "ARRAY_MIN input": "the array",
	"ARRAY_DISTINCT input": "the array", "MAP_KEYS input": "the map", "MAP_VALUES input": "the map", "TO_JSON_STRING input": "any value", "LEN input": "the text or bytes",
	"LPAD input": "the text or bytes", "RPAD input": "the text or bytes", "EXTRACTJSONFIELD input": "a JSON text", "pattern": "a regular expression of Java's",
	"REGEXP_REPLACE newStr": "the replacement, in which $1 is the first group", "fromTimeZone": "the time zone of the wall clock",
	"toTimeZone": "the other time zone", "inputEncoding": "the encoding that the text is in", "outputEncoding": "the encoding wanted", "SLICE from": "the position of the first element",
	"SLICE to": "the position of the last element", "ELT n": "which one, 1 being the first", "FIELD str": "the text to look for", "REDUCE function": "the next state, of the state and an element, or a key and value",
	"FILTER function": "whether an element, or a key and value, stays", "keyFunction": "the new key, of a key and value", "valueFunction": "the new value, of a key and value",
	"TO_BYTES value": "the text", "FROM_BYTES value": "the bytes", "INT_FROM_BYTES value": "4 bytes", "BIGINT_FROM_BYTES value": "8 bytes", "DOUBLE_FROM_BYTES value": "8 bytes",
	"UUID bytes": "16 bytes", "ATAN2 y": "the point's y", "ATAN2 x": "the point's x", "COUNT value": "the value; without it rows are counted", "TOPK value": "the value to sort by",
	"URL_ENCODE_PARAM input": "the text", "URL_DECODE_PARAM input": "the escaped text", "URL_EXTRACT_FRAGMENT input": "the URL", "URL_EXTRACT_HOST input": "the URL", "URL_EXTRACT_PARAMETER input": "the URL",
	"URL_EXTRACT_PATH input": "the URL", "URL_EXTRACT_PORT input": "the URL", "URL_EXTRACT_PROTOCOL input": "the URL", "URL_EXTRACT_QUERY input": "the URL",
	"TOPK col0": "a column to keep beside it", "TOPK col1": "a column to keep beside it", "TOPK col2": "a column to keep beside it", "TOPK col3": "a column to keep beside it",
	"TOPK col4": "a column to keep beside it", "TOPK col5": "a column to keep beside it", "TOPK col6": "a column to keep beside it", "TOPK col7": "a column to keep beside it",
}

// describe gives a function's parameters their descriptions.
func describe(d *Def) {
	for i := range d.Signatures {
		params := d.Signatures[i].Params
		for k := range params {
			text, ok := glossary[d.Name+" "+params[k].Name]
			if !ok {
				text = glossary[params[k].Name]
			}
			params[k].Description = text
		}
	}
}
