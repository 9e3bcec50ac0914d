package main

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"karst/server/api"

	"github.com/spf13/cobra"
)

func consumeCommand(f *flags, out io.Writer) *cobra.Command {
	var beginning, exit, key, timestamp, committed bool
	var most int64
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Print the values of a topic, one a line",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"exit": {strconv.FormatBool(exit)}}
			if beginning {
				q.Set("from", "beginning")
			}
			if most >= 0 {
				q.Set("max", strconv.FormatInt(most, 10))
			}
			w := bufio.NewWriter(out)
			defer w.Flush()
			return f.withClient(func(c *api.Client) error {
				err := c.Consume(cmd.Context(), args[0], q.Encode(), func(r api.Record) bool {
					if timestamp {
						fmt.Fprintf(w, "%d\t", *r.Timestamp)
					}
					if key {
						fmt.Fprintf(w, "%s\t", r.KeyBytes())
					}
					fmt.Fprintf(w, "%s\n", r.ValueBytes())
					return exit || w.Flush() == nil
				})
				if cmd.Context().Err() != nil {
					return nil // Ctrl-C is how one leaves
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&beginning, "from-beginning", false, "start at the first record, not at the end")
	cmd.Flags().BoolVar(&exit, "exit", false, "stop at the end as of now")
	cmd.Flags().Int64Var(&most, "max", -1, "stop after this many records")
	cmd.Flags().BoolVar(&key, "print-key", false, "print each key before its value")
	cmd.Flags().BoolVar(&timestamp, "print-timestamp", false, "print each timestamp, in ms, first")
	cmd.Flags().BoolVar(&committed, "read-committed", true, "leave out what is not committed (always so)")
	return cmd
}
