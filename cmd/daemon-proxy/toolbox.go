package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/toolbox"
)

// newToolbox is the built-in daemon: what runs inside a container after the
// program has put itself there.
func newToolbox() *cobra.Command {
	options := toolbox.Options{Version: version()}
	stop := false
	cmd := &cobra.Command{
		Use:   "toolbox",
		Short: "Run the built-in daemon (daemon-proxy starts it inside containers)",
		Long: "toolbox is the built-in daemon. daemon-proxy copies itself into a container and starts it\n" +
			"there. Every caller must send the secret that is in the environment variable\n" +
			daemon.SecretEnv + ".",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if stop {
				return toolbox.StopOthers(cmd.Context())
			}
			options.Secret = os.Getenv(daemon.SecretEnv)
			if err := os.Unsetenv(daemon.SecretEnv); err != nil {
				return err
			}
			options.Logger = slog.Default()
			return toolbox.Serve(cmd.Context(), options)
		},
	}
	cmd.Flags().StringVar(&options.Addr, "addr", ":2280", "address to listen on")
	cmd.Flags().StringVar(&options.LogFile, "log-file", "", "log file; empty: standard output")
	cmd.AddCommand(&cobra.Command{
		Use: "bridge", Hidden: true, Args: noArgs,
		Short: "Carry connections between standard input and output and this sandbox's ports",
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, out := mux.Standard()
			return carrier.Serve(cmd.Context(), in, out)
		},
	})
	cmd.Flags().BoolVar(&stop, "stop", false, "stop the other daemons that run from this file, and exit")
	return cmd
}
