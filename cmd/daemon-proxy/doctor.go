package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

func newDoctor() *cobra.Command {
	cmd := clientCommand("doctor [SANDBOX]", "Check the way to a container, hop by hop", ownContainers,
		func(ctx context.Context, r *remote, args []string) error {
			var ref api.Ref
			if name := append(args, r.container)[0]; name != "" {
				ref = api.ParseRef(name)
			}
			unwell := false
			err := r.Diagnose(ctx, ref, func(f api.Finding) {
				unwell = unwell || !f.Well()
				if r.json {
					_ = r.line(f)
				} else {
					printFinding(r.out, f)
				}
			})
			if err == nil && unwell {
				err = unwellError{errors.New("not all is well")}
			}
			return err
		})
	cmd.Args, cmd.ValidArgsFunction = atMostOne, first(offers(offeredSandboxes))
	cmd.Long = "doctor checks the way from daemon-proxy to a port of a container: the core, its state, its\nserver, the " +
		"engine, the container, the carrier, the daemon, a port and the front. It says\nhow long each took and what is " +
		"lost there, and at the first that fails, what to do. At the\nlast two, a self-test page in the container is " +
		"called with all kinds of requests and\n64 MiB in each direction. Nothing is injected or copied. Without SANDBOX " +
		"it checks the\ndefault sandbox, if there is one. With --json, each line is a finding.\n\n" + exitCodes +
		" 4 a hop\nfails or loses something."
	return cmd
}

// unwellError is the outcome of a diagnosis, which is printed already.
type unwellError struct{ error }

// printFinding prints a finding for a person.
func printFinding(out io.Writer, f api.Finding) {
	took := ""
	if f.DurationMS > 0 {
		took = time.Duration(f.DurationMS * float64(time.Millisecond)).Round(10 * time.Microsecond).String()
	}
	fmt.Fprintf(out, "%-9s  %-7s  %9s  %s\n", cmp.Or(f.Hop, "all"), f.State, took, logging.Printable(f.Detail))
	for _, lost := range f.Lost {
		fmt.Fprintf(out, "%31slost: %s\n", "", logging.Printable(lost))
	}
	if f.Hint != "" {
		fmt.Fprintf(out, "%31stry: %s\n", "", logging.Printable(f.Hint))
	}
}
