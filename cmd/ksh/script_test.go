package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the command line as users do. 'server' starts a server and
// points KSH_SERVER at it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"server": func(ts *testscript.TestScript, _ bool, _ []string) {
				s := &kshServer{t: t, Kafka: "127.0.0.1:0", args: []string{"--data", ts.MkAbs("served")}}
				s.start()
				ts.Defer(s.stop)
				ts.Setenv("KSH_SERVER", "http://"+s.HTTP)
			},
		},
	})
}
