// Package exectest opens whole engines for tests: log, state and engine on one
// filesystem, in one call, with a clock of their own and arenas that poison
// what a round has given back.
//
//	e := exectest.Open(t, exectest.Options{FS: fs, BatchRows: 7})
//	e.Run("CREATE STREAM …")
//	e.Produce("s", exectest.Record{Key: "k", Value: `{"v":1}`})
//	e.Settle()
//	rows := e.Query("SELECT …")
package exectest
