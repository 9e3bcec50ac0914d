package types

import "time"

// AppendTimeOfDay appends a TIME, milliseconds of the day, as Java's LocalTime
// prints it: seconds and milliseconds only where they are not 0.
func AppendTimeOfDay(buf []byte, ms int64) []byte {
	layout := "15:04"
	switch {
	case ms%1000 != 0:
		layout = "15:04:05.000"
	case ms%60000 != 0:
		layout = "15:04:05"
	}
	return time.UnixMilli(ms).UTC().AppendFormat(buf, layout)
}
