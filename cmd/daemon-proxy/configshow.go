package main

import (
	"errors"

	"github.com/spf13/cobra"

	"daemon-proxy/core/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show the configuration", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return usageError{errors.New("a subcommand is missing: show")} }}
	var asJSON bool
	show := &cobra.Command{
		Use: "show", Short: "Print every effective value and where it comes from", Args: noArgs,
		Long: "show prints the effective configuration in the form of a configuration file, with the\n" +
			"source of each value. The API key is masked.\n\n" +
			"Exit codes: 0 success; 2 invalid flags, variables or configuration.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			effective, err := config.Explain(config.Options{Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			if asJSON {
				r := remote{out: cmd.OutOrStdout()}
				return r.document(effective)
			}
			return effective.WriteYAML(cmd.OutOrStdout())
		},
	}
	config.BindFlags(show.Flags())
	show.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(show)
	return cmd
}
