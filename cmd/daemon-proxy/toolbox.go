package main

import (
	"github.com/spf13/cobra"

	"daemon-proxy/core/daemon"
	"daemon-proxy/core/toolbox"
	"daemon-proxy/core/version"
)

// newToolbox is what runs inside a container if this program was built without the
// small one for that (cmd/toolbox), and has put itself there.
func newToolbox() *cobra.Command {
	var command toolbox.Command
	cmd := &cobra.Command{
		Use:   toolbox.CommandName,
		Short: "Run the built-in daemon (daemon-proxy starts it inside containers)",
		Long: "toolbox is the built-in daemon. daemon-proxy copies it into a container and starts it\n" +
			"there. Every caller must send the secret that is in the environment variable\n" +
			daemon.SecretEnv + ".",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return command.Run(cmd.Context(), version.String()) },
	}
	command.Bind(cmd.Flags())
	cmd.AddCommand(&cobra.Command{
		Use: toolbox.BridgeCommand, Hidden: true, Args: noArgs,
		Short: "Carry connections between standard input and output and this sandbox's ports",
		RunE:  func(cmd *cobra.Command, _ []string) error { return toolbox.RunBridge(cmd.Context()) },
	}, &cobra.Command{
		Use: toolbox.EchoCommand, Hidden: true, Args: noArgs,
		Short: "Serve the self-test page of doctor until standard input ends",
		RunE:  func(cmd *cobra.Command, _ []string) error { return toolbox.RunEcho(cmd.Context()) },
	})
	return cmd
}
