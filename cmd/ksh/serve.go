package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"karst/log/registry"

	"github.com/spf13/cobra"
)

func serveCommand(f *flags) *cobra.Command {
	var addr, durability, cluster, schemas string
	var kafka kafkaFlags
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Run the server",
		Long:  "serve runs the HTTP API and the Kafka door until SIGTERM or Ctrl-C, then stops every query at a commit and writes everything down.\n\n" + kafkaHelp + "\n\n" + clusterHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if durability != "fsync" && durability != "os" {
				return &usageError{fmt.Errorf("--durability is fsync or os, not %q", durability)}
			}
			if f.data == "" {
				return &usageError{errors.New("serve needs --data DIR")}
			}
			o := nodeOptions{noSync: durability == "os"}
			if schemas != "" {
				client, err := registry.NewClient(schemas)
				if err != nil {
					return &usageError{fmt.Errorf("--schema-registry: %w", err)}
				}
				o.registry = client
			}
			open := func(ctx context.Context, logger *slog.Logger) (*node, error) {
				return openNode(f.data, o, logger)
			}
			if cluster != "" {
				if cmd.Flags().Changed("kafka") && kafka.addr != "off" {
					return &usageError{errors.New("--kafka opens the embedded log to Kafka clients; with --log they talk to the cluster itself")}
				}
				opts, err := parseCluster(cluster, os.Getenv)
				if err != nil {
					return &usageError{err}
				}
				kafka.addr, o.cluster = "off", opts
				open = func(ctx context.Context, logger *slog.Logger) (*node, error) {
					return openClusterNode(ctx, f.data, o, logger)
				}
			}
			return serve(cmd.Context(), f, addr, &kafka, open)
		},
	}
	cmd.Flags().StringVar(&addr, "http", "127.0.0.1:8088", "address of the HTTP API")
	kafka.register(cmd.Flags())
	cmd.Flags().StringVar(&cluster, "log", "", "kafka://HOST:PORT,…: a Kafka cluster in place of the embedded log; see above")
	cmd.Flags().StringVar(&schemas, "schema-registry", "", "http://[USER:PASSWORD@]HOST:PORT of a schema registry that speaks Confluent's REST API, in place of the embedded one, which this port serves")
	cmd.Flags().StringVar(&durability, "durability", "fsync", "fsync: acknowledge what the disk has; os: what the operating system has: faster, but a power cut or a crash of the machine (not of ksh alone) loses the last seconds of acknowledged records")
	return cmd
}

// stopTimeout is how long requests may take to end at a stop.
const stopTimeout = 5 * time.Second

func serve(ctx context.Context, f *flags, addr string, kafka *kafkaFlags, open func(context.Context, *slog.Logger) (*node, error)) (err error) {
	f.log = levelOr(f.log, "info")
	logger := f.logger(os.Stderr)
	if err := kafka.checkHTTP(addr); err != nil {
		return err
	}
	checkFiles(openFiles(), logger)
	security, err := kafka.security()
	if err != nil {
		return err
	}
	n, err := open(ctx, logger)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, n.close())
		logger.Info("stopped")
	}()
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("the HTTP API can't open: %s is in use, perhaps by another ksh; give another address with --http", addr)
	}
	if err != nil {
		return fmt.Errorf("the HTTP API can't open, --http %s: %w", addr, err)
	}
	door, err := kafka.open(n, security, logger)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, door.close()) }()
	srv := n.server.HTTP()
	// Requests end when the server stops, push queries among them.
	base, cancel := context.WithCancel(context.Background())
	srv.BaseContext = func(net.Listener) context.Context { return base }
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	logger.Info("listening", "http", l.Addr().String(), "data", f.data)
	select {
	case err = <-failed:
	case err = <-door.failed:
		_ = srv.Close()
		<-failed
	case cause := <-n.failed:
		// What the page cache holds can't be trusted after a failed fsync; only
		// a new process that reads the disk again can tell what is there.
		err = &diskError{cause}
		cancel()
		_ = srv.Close()
		<-failed
	case <-ctx.Done():
		logger.Info("stopping; a second signal ends it at once, as a crash would, which loses nothing that was acknowledged")
		cancel()
		stop, done := context.WithTimeout(context.Background(), stopTimeout)
		if serr := srv.Shutdown(stop); serr != nil {
			_ = srv.Close()
		}
		done()
		err = <-failed
	}
	cancel()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// levelOr makes the server say a little more than the other commands.
func levelOr(level, def string) string {
	if level == "warn" {
		return def
	}
	return level
}
