package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

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
			"there; the secret that it asks of every caller comes in the environment variable\n" +
			toolbox.SecretEnv + ".",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if stop {
				return toolbox.StopOthers(cmd.Context())
			}
			options.Secret = os.Getenv(toolbox.SecretEnv)
			if err := os.Unsetenv(toolbox.SecretEnv); err != nil {
				return err
			}
			options.Logger = slog.Default()
			return toolbox.Serve(cmd.Context(), options)
		},
	}
	cmd.Flags().StringVar(&options.Addr, "addr", ":2280", "address to listen on")
	cmd.Flags().StringVar(&options.LogFile, "log-file", "", "file that the log goes to; empty: standard output")
	cmd.Flags().BoolVar(&stop, "stop", false, "end the daemons that run from this file here, and nothing else")
	return cmd
}
