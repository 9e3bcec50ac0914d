package format

// AppendCompact appends valid JSON without the blanks between its tokens and
// with the escapes of strings that are needed only: the text that a STRING
// takes from a value of another kind.
func AppendCompact(buf, raw []byte) []byte {
	var scratch []byte
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case ' ', '\t', '\n', '\r':
		case '"':
			end, escaped := stringEnd(raw, i+1)
			if escaped {
				scratch, _ = unescape(scratch[:0], raw[i+1:end])
				buf = AppendJSONString(buf, scratch)
			} else {
				buf = append(buf, raw[i:end+1]...)
			}
			i = end
		default:
			buf = append(buf, c)
		}
	}
	return buf
}
