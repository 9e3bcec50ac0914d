package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"karst/exec/script"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

func testCommand(out io.Writer) *cobra.Command {
	var o script.Options
	cmd := &cobra.Command{
		Use:   "test PATH…",
		Short: "Run golden tests",
		Long: "test runs every file given, or below a folder given: .slt golden tests, each in an engine of its own in memory under several batch sizes and partition counts, tests in ksqlDB's dialect (.sql), and .json cases in the formats of ksqlDB's, queries and HTTP.\n" +
			"A failing case shows its statements and inputs, and the expected records beside the actual ones.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Progress = progressOn(os.Stderr)
			sum, err := script.Run(cmd.Context(), args, o, out)
			if o.Progress != nil {
				fmt.Fprint(os.Stderr, "\r\x1b[K")
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", sum.Passed, sum.Failed, sum.Skipped)
			if sum.Failed > 0 {
				return errors.New("tests failed")
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&o.CaseBatch, "case-batch", 1, "rows that a .json case's inputs on one topic are fed at a time")
	return cmd
}

// progressOn returns a display of what runs, nil if f is no terminal.
func progressOn(f *os.File) func(string, script.Summary) {
	if !isatty.IsTerminal(f.Fd()) {
		return nil
	}
	return func(name string, sofar script.Summary) {
		if r := []rune(name); len(r) > 70 {
			name = string(r[:69]) + "…"
		}
		fmt.Fprintf(f, "\r\x1b[K%d passed, %d failed  %s", sofar.Passed, sofar.Failed, name)
	}
}
