// Command ksh is Karst: streaming SQL in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"karst/server"
	"karst/server/api"
	"karst/shell"

	_ "time/tzdata" // time zones by name, on machines without them too

	"github.com/spf13/cobra"
)

func main() {
	signaled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(signaled, func() {
		stop() // a second signal ends the process at once
		cancel()
	})
	err := newRoot(os.Stdin, os.Stdout, os.Stderr).ExecuteContext(ctx)
	cancel()
	if err == nil {
		return
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(os.Stderr, "ksh:", err)
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "ksh:", err)
	var disk *diskError
	if errors.As(err, &disk) {
		os.Exit(70)
	}
	os.Exit(1)
}

// A diskError is a log that can't write any more: exit code 70, on which a
// supervisor may start ksh again.
type diskError struct{ error }

// A usageError is a wrong command line: exit code 2.
type usageError struct{ error }

// flags are those that several commands share.
type flags struct {
	server string
	data   string
	log    string
}

func newRoot(in *os.File, out, errOut io.Writer) *cobra.Command {
	f := &flags{}
	var execute, file, format string
	root := &cobra.Command{
		Use:           "ksh",
		Short:         "Karst: streaming SQL in one binary",
		Long:          "ksh without a command is the prompt. It talks to --server, or runs an engine of its own: in memory, or on disk with --data.",
		Args:          cobra.NoArgs,
		Version:       server.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := shell.ParseFormat(format)
			if err != nil {
				return &usageError{err}
			}
			given := cmd.Flags().Changed("execute")
			if given && file != "" {
				return &usageError{errors.New("give -e or -f, not both")}
			}
			if file != "" {
				if execute, err = readScript(file, in); err != nil {
					return err
				}
				given = true
			}
			return f.withClient(func(c *api.Client) error {
				r := shell.NewRunner(c, out, errOut, rows)
				if given {
					return r.Run(cmd.Context(), execute)
				}
				return r.REPL(in, historyFile())
			})
		},
	}
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	p := root.PersistentFlags()
	p.StringVar(&f.server, "server", os.Getenv("KSH_SERVER"), "URL of a running server; also by KSH_SERVER")
	p.StringVar(&f.data, "data", "", "data directory of an engine of its own; in memory if not given")
	p.StringVar(&f.log, "log-level", "warn", "debug, info, warn or error")
	root.Flags().StringVarP(&execute, "execute", "e", "", "run these statements and exit")
	root.Flags().StringVarP(&file, "file", "f", "", "run the statements of this file, - is standard input, and exit")
	root.Flags().StringVar(&format, "format", "table", "how rows are printed: table, json, csv or vertical")
	root.AddCommand(serveCommand(f), demoCommand(f, in, out), produceCommand(f, in, out, errOut), consumeCommand(f, out), testCommand(out))
	usageArgs(root)
	return root
}

// usageArgs makes a wrong number of arguments, and a command that is not there,
// a wrong command line.
func usageArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{fmt.Errorf("%w\nRun '%s --help' for usage", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usageArgs(sub)
	}
}

func readScript(file string, in io.Reader) (string, error) {
	if file == "-" {
		text, err := io.ReadAll(in)
		return string(text), err
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// historyFile is where the prompt keeps what was entered; "" if there is no
// place for it.
func historyFile() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "karst", "history")
}

func (f *flags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if level.UnmarshalText([]byte(f.log)) != nil {
		level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// withClient calls run with a client: of the server, or of an engine of its
// own that is closed afterwards.
func (f *flags) withClient(run func(*api.Client) error) error {
	if f.server != "" {
		return run(api.NewClient(f.server))
	}
	n, err := openNode(f.data, nodeOptions{}, f.logger(os.Stderr))
	if err != nil {
		return err
	}
	c, closeServer := n.server.InMemory()
	err = run(c)
	closeServer()
	return errors.Join(err, n.close())
}
