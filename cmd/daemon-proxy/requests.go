package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/traffic"
)

func newRequests() *cobra.Command {
	var follow bool
	var filter string
	var limit int
	var parsed traffic.Filter
	cmd := clientCommand("requests", "Show the latest proxied requests", ownNone,
		func(ctx context.Context, r *remote, _ []string) error {
			if follow {
				return r.followRequests(ctx, parsed, filter, limit)
			}
			list, err := r.Exchanges(ctx, filter, limit)
			if err != nil {
				return err
			}
			if r.json {
				return r.document(api.ExchangeList{Requests: list})
			}
			for _, x := range slices.Backward(list) {
				r.exchange(x)
			}
			return nil
		})
	cmd.Args = func(cmd *cobra.Command, args []string) (err error) {
		if parsed, err = traffic.ParseFilter(filter); err != nil {
			return usageError{fmt.Errorf("--filter: %w", err)}
		}
		if limit < 0 {
			return usageError{fmt.Errorf("--limit %d: want 0 or more", limit)}
		}
		return noArgs(cmd, args)
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing new requests; with --json, one object per line")
	cmd.Flags().StringVar(&filter, "filter", "",
		`terms that must all match, such as "status:5xx port:3000 !method:get text"`)
	cmd.Flags().IntVar(&limit, "limit", 50, "maximum number of requests; 0: all in the log")
	return cmd
}

// followRequests prints the latest requests and then each that ends.
func (r *remote) followRequests(ctx context.Context, filter traffic.Filter, text string, limit int) error {
	var last uint64 // the newest that was in the list
	shown := map[uint64]bool{}
	show := func(x api.Exchange) error {
		if x.Live || shown[x.ID] {
			return nil
		}
		shown[x.ID] = true
		if r.json {
			return r.line(x)
		}
		r.exchange(x)
		return nil
	}
	var failed error
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err := r.Follow(ctx, func(e api.Event) error {
		if e.Exchange == nil || !filter.Match(*e.Exchange) {
			return nil
		}
		return show(*e.Exchange)
	}, func() {
		list, err := r.Exchanges(ctx, text, limit)
		if err != nil {
			failed = err
			stop()
			return
		}
		if len(list) > 0 && list[0].ID < last { // a core that was restarted counts from 1 again
			clear(shown)
		}
		for _, x := range slices.Backward(list) {
			last = x.ID
			_ = show(x)
		}
	})
	if failed == nil && errors.Is(err, context.Canceled) {
		return nil // Ctrl-C is how this ends
	}
	return cmp.Or(failed, err)
}

// exchange prints one request.
func (r *remote) exchange(x api.Exchange) {
	status := strconv.Itoa(x.Status)
	if x.Live {
		status = "…"
	}
	fmt.Fprintf(r.out, "%s  %-3s  %-7s %8s  %s  %s\n", x.Start.Local().Format(time.TimeOnly), status,
		logging.Printable(x.Method),
		x.Duration.Round(time.Millisecond), logging.Printable(x.Sandbox)+":"+strconv.Itoa(x.Port),
		logging.Printable(x.Path))
}
