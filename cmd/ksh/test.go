package main

import (
	"errors"
	"fmt"
	"io"

	"karst/exec/script"

	"github.com/spf13/cobra"
)

func testCommand(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "test PATH…",
		Short: "Run golden tests",
		Long:  "test runs every file given, or below a folder given: .slt golden tests, each in an engine of its own in memory under several batch sizes and partition counts, and .json cases in the formats of ksqlDB's, queries and HTTP.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sum, err := script.Run(cmd.Context(), args, out)
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
}
