package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

func newPreview() *cobra.Command {
	cmd := &cobra.Command{Use: "preview", Short: "Create, list, revoke and open preview links", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{errors.New("a subcommand is missing: create, list, revoke or open")}
		}}
	cmd.AddCommand(newCreate(), newList(), newRevoke(), newOpen())
	return cmd
}

// linkFlags are the flags of a command that creates links.
type linkFlags struct {
	sandbox, label                   string
	ttl                              time.Duration
	daemonPort, noFence, keepsPrefix bool
}

func (f *linkFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.sandbox, "sandbox", "", "name of the sandbox (default: the default sandbox)")
	_ = cmd.RegisterFlagCompletionFunc("sandbox", offers(offeredSandboxes)) // the flag is there
	flags.StringVar(&f.label, "label", "", "label of the link")
	flags.DurationVar(&f.ttl, "ttl", 0, "time to live, such as 1h; 0: until revoked (default: preview.default_ttl)")
	flags.BoolVar(&f.daemonPort, "allow-daemon-port", false, "allow a link to a port of the daemon itself")
	flags.BoolVar(&f.noFence, "no-fence", false, "let the pages connect to other services on the viewer's machine")
	flags.BoolVar(&f.keepsPrefix, "keep-prefix", false, "send the service the whole path, including /preview/TOKEN")
}

// check validates the flags before a core is contacted.
func (f *linkFlags) check(cmd *cobra.Command, args []string) error {
	if err := exactlyOne(cmd, args); err != nil {
		return err
	}
	if port, err := strconv.Atoi(args[0]); err == nil && (port < 1 || port > 65535) {
		return usageError{fmt.Errorf("%d is not a port: want 1 to 65535", port)}
	}
	if f.ttl < 0 {
		return usageError{fmt.Errorf("--ttl %s: want 0 or more", f.ttl)}
	}
	return nil
}

func (f *linkFlags) request(cmd *cobra.Command, port int) api.LinkRequest {
	request := api.LinkRequest{Port: port, Sandbox: f.sandbox, Label: f.label, AllowDaemonPort: f.daemonPort}
	if cmd.Flags().Changed("ttl") {
		seconds := int64((f.ttl + time.Second - 1) / time.Second) // 0 would be for ever
		request.TTLSeconds = &seconds
	}
	no := false
	if f.noFence {
		request.Fence = &no
	}
	if f.keepsPrefix {
		request.StripPrefix = &no
	}
	return request
}

// overSSH is said by --help of the commands that print a link's URL.
const overSSH = "With --server ssh://… it then serves the preview at a local port until Ctrl-C; the link stays."

func newCreate() *cobra.Command {
	var flags linkFlags
	var cmd *cobra.Command
	cmd = clientCommand("create PORT", "Create a preview link", ownNone,
		func(ctx context.Context, r *remote, args []string) error {
			port, _ := strconv.Atoi(args[0]) // it was checked
			link, err := r.CreateLink(ctx, flags.request(cmd, port))
			if err != nil {
				return err
			}
			if r.json {
				err = r.document(link)
			} else {
				if link.HostURL != "" {
					fmt.Fprintln(r.out, link.HostURL)
				}
				_, err = fmt.Fprintln(r.out, link.URL)
			}
			if err != nil {
				return err
			}
			return r.stay(ctx)
		})
	cmd.Annotations = map[string]string{servesPreviews: "yes"}
	cmd.Long = "create creates a preview link and prints its URLs.\n" + overSSH + "\n\n" + exitCodes
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := flags.check(cmd, args); err != nil {
			return err
		}
		if _, err := strconv.Atoi(args[0]); err != nil {
			return usageError{fmt.Errorf("%q is not a port", args[0])}
		}
		return nil
	}
	flags.bind(cmd)
	return cmd
}

func newList() *cobra.Command {
	var urls bool
	cmd := clientCommand("list", "List the preview links", ownLinks,
		func(ctx context.Context, r *remote, _ []string) error {
			links, err := r.Links(ctx)
			if err != nil {
				return err
			}
			if r.json {
				return r.document(api.Links{Links: links})
			}
			rows := [][]string{{"ID", "SANDBOX", "PORT", "STATE", "REQUESTS", "EXPIRES", "LABEL"}}
			if urls {
				rows[0] = append(rows[0], "URL")
			}
			for _, l := range links {
				expires := "-"
				if l.ExpiresAt != nil {
					expires = l.ExpiresAt.Local().Format(time.DateTime)
				}
				row := []string{l.ID, l.SandboxName, strconv.Itoa(l.Port), l.State, strconv.FormatInt(l.Requests, 10),
					expires, l.Label}
				if urls {
					row = append(row, cmp.Or(l.HostURL, l.URL))
				}
				rows = append(rows, row)
			}
			return r.table(rows...)
		})
	cmd.Flags().BoolVar(&urls, "urls", false, "also show the URLs; anyone who has one can view the preview")
	return cmd
}

func newRevoke() *cobra.Command {
	cmd := clientCommand("revoke ID", "Revoke a preview link", ownLinks,
		func(ctx context.Context, r *remote, args []string) error {
			if err := r.RevokeLink(ctx, args[0]); err != nil {
				return err
			}
			if r.json {
				return r.document(api.Revoked{Token: args[0], Revoked: true})
			}
			_, err := fmt.Fprintln(r.out, "revoked")
			return err
		})
	cmd.Args, cmd.ValidArgsFunction = exactlyOne, first(offers(offeredLinks))
	return cmd
}

func newOpen() *cobra.Command {
	var flags linkFlags
	var cmd *cobra.Command
	cmd = clientCommand("open PORT|ID", "Open a preview in the browser", ownNone,
		func(ctx context.Context, r *remote, args []string) error {
			link, err := r.linkFor(ctx, args[0], func(port int) api.LinkRequest { return flags.request(cmd, port) })
			if err != nil {
				return err
			}
			url := cmp.Or(link.HostURL, link.URL)
			if r.json {
				err = r.document(link)
			} else {
				_, err = fmt.Fprintln(r.out, url)
			}
			if err := errors.Join(err, browse(ctx, r.config.StateDir, url)); err != nil {
				return err
			}
			return r.stay(ctx)
		})
	cmd.Annotations = map[string]string{servesPreviews: "yes"}
	cmd.Args, cmd.ValidArgsFunction = flags.check, first(offers(offeredLinks))
	cmd.Long = "open opens a preview in the browser ($BROWSER, or the desktop's). ID opens that link. PORT\nopens " +
		"the newest active link to the port, and creates one if there is none.\n" + overSSH + "\n\n" + exitCodes
	flags.bind(cmd)
	return cmd
}

// linkFor is the live link that an id or a port means; for a port without one
// it is made.
func (r *remote) linkFor(ctx context.Context, what string, request func(int) api.LinkRequest) (api.Link, error) {
	links, err := r.Links(ctx)
	if err != nil {
		return api.Link{}, err
	}
	port, err := strconv.Atoi(what)
	if err != nil {
		for _, l := range links {
			if l.ID == what && l.State == "active" {
				return l, nil
			}
		}
		return api.Link{}, api.NewProblem(api.CodeUnknownLink,
			"there is no active link "+logging.Printable(what), "list them with daemon-proxy preview list")
	}
	wanted := request(port)
	if wanted.Label == "" && wanted.TTLSeconds == nil && wanted.Fence == nil && wanted.StripPrefix == nil {
		ref, err := r.sandbox(ctx, append([]string{}, compact(wanted.Sandbox)...))
		if err != nil {
			return api.Link{}, err
		}
		for _, l := range links {
			same := ref.Means(l.Sandbox)
			if l.Sandbox == (api.Ref{}) { // from a core that reports names only
				same = l.SandboxName == ref.String()
			}
			if same && l.Port == port && l.State == "active" {
				return l, nil
			}
		}
	}
	return r.CreateLink(ctx, wanted)
}

// compact is the text as a list, empty if it is.
func compact(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

var redirect = template.Must(template.New("redirect").Parse(
	`<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">` +
		`<meta http-equiv="refresh" content="0;url={{.}}"><title>preview</title><a href="{{.}}">preview</a>` + "\n"))

// browse opens a URL in the browser. The browser gets a file that leads there:
// the arguments of a process can be read by every user of the machine, and the
// URL holds the link's token.
func browse(ctx context.Context, folder, url string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	path := filepath.Join(folder, "open.html")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // in the state folder
	if err != nil {
		return err
	}
	if err := errors.Join(redirect.Execute(file, url), file.Close()); err != nil {
		return err
	}
	command := []string{"xdg-open", path}
	switch {
	case os.Getenv("BROWSER") != "":
		command[0] = os.Getenv("BROWSER")
	case runtime.GOOS == "darwin":
		command[0] = "open"
	case runtime.GOOS == "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler", path}
	}
	browser := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the person's own choice
	if err := browser.Run(); err != nil {
		return api.NewProblem(api.CodeInternal,
			fmt.Sprintf("no browser opened: %v", err), "open the URL above yourself, or set BROWSER").Because(err)
	}
	return nil
}
