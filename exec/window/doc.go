// Package window is the arithmetic of windows: which windows a row falls in,
// when a window is closed for late rows, when its state may be forgotten, and
// how sessions grow together. It is pure: no state, no clock.
//
// All times are event times in milliseconds since the epoch.
//
//	tumbling  [0,10) [10,20) [20,30) …        starts are multiples of Size
//	hopping   [0,10) [5,15) [10,20) …         starts are multiples of Advance
//	session   [first row, last row]           rows at most Gap apart; both ends inclusive
//
// # Stream time, lateness, expiry
//
// Stream time is the greatest row time seen so far; each function takes it as
// an argument. Three rules hang on it and they are not the same:
//
//   - A window is closed, and rows that would change it are late, once stream
//     time has reached its end plus grace (Closed). A session is closed once
//     stream time is beyond its last row plus gap plus grace (SessionClosed).
//   - A window whose time (start of a time window, end of a session) is before
//     the Horizon is expired: every reader treats it as absent, whether or not
//     it has been deleted yet. The horizon is never later than the oldest window
//     that is still open, so that late rows never meet a half-forgotten state.
//   - A joined row is kept as long as Join says.
//
// Because these are functions of stream time alone, and stream time is advanced
// row by row, an answer never depends on batch boundaries or commit points.
package window
