package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daemon-proxy/core"
	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/demo"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/version"
)

// demoTime bounds the creation of the demo and its removal.
const demoTime = 2 * time.Minute

func newDemo(stderr io.Writer) *cobra.Command {
	var remove, asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a small demo sandbox and preview it",
		Long: "demo builds an image from this program itself (nothing is downloaded), starts a container\n" +
			"with a small page, puts a daemon into it and prints a preview link. If no daemon-proxy is\n" +
			"running, it serves the link itself until it is interrupted.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(config.Options{Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			if remove {
				ctx, cancel := context.WithTimeout(cmd.Context(), demoTime)
				defer cancel()
				was, err := core.RemoveDemo(ctx, cfg.Docker)
				switch {
				case err != nil:
					return err
				case asJSON:
					return (&remote{out: cmd.OutOrStdout()}).document(map[string]bool{"removed": was})
				case was:
					fmt.Fprintln(cmd.OutOrStdout(), "The demo sandbox and its image were removed.")
				default:
					fmt.Fprintln(cmd.OutOrStdout(), "There was no demo sandbox.")
				}
				return nil
			}
			say := sayDemo
			if asJSON {
				say = func(stdout io.Writer, link api.Link, _ bool) { _ = (&remote{out: stdout}).document(link) }
			}
			return runDemo(cmd.Context(), cfg, cmd.OutOrStdout(), stderr, say)
		},
	}
	config.BindFlags(cmd.Flags())
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the demo sandbox and its image")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the link as JSON, in the form of the HTTP API")
	return cmd
}

// newDemoPage is what runs in the demo sandbox if this program is there.
func newDemoPage() *cobra.Command {
	return &cobra.Command{
		Use: demo.Command, Short: "Serve the page of the demo sandbox", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo.Serve(cmd.Context()) },
	}
}

// runDemo uses the core that runs on this machine, else one of its own for as
// long as the person wants.
func runDemo(ctx context.Context, cfg config.Config, stdout, stderr io.Writer, say sayer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	running, err := runningCore(ctx, cfg)
	if err != nil {
		return err
	}
	if running != nil {
		link, err := demoOn(ctx, running)
		if err != nil {
			return atTheTerminal(err)
		}
		say(stdout, link, false)
		return nil
	}
	logger, logs, err := logging.New(logging.Options{
		Level: cfg.Logging.Level, Format: cfg.Logging.Format, File: cfg.Logging.File,
		MaxSizeMB: cfg.Logging.MaxSizeMB, MaxBackups: cfg.Logging.MaxBackups, Stderr: stderr,
	})
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = logs.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := core.Start(ctx, core.Options{Config: cfg, Version: version.String(), Executable: self, Logger: logger})
	if err != nil {
		return err
	}
	link, err := demoOn(ctx, c)
	if err != nil {
		cancel()
		_ = c.Wait() // the first error counts
		return err
	}
	say(stdout, link, true)
	return c.Wait()
}

// demoOn starts the demo on a core.
func demoOn(ctx context.Context, c api.Core) (api.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	return c.Demo(ctx)
}

// sayer prints the link to the demo; own says that this program serves it.
type sayer func(stdout io.Writer, link api.Link, own bool)

func sayDemo(stdout io.Writer, link api.Link, own bool) {
	where := link.HostURL
	if where == "" {
		where = link.URL
	}
	fmt.Fprintf(stdout, "The demo sandbox runs: %s/\n", strings.TrimSuffix(where, "/"))
	if own {
		fmt.Fprintln(stdout,
			"It is served until you press ctrl+c; the sandbox stays: daemon-proxy demo --remove removes it.")
	}
}
