package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"daemon-proxy/core"
	"daemon-proxy/core/api"
	"daemon-proxy/core/client"
	"daemon-proxy/core/config"
)

// desk is a core in host mode and a service beside it, which is what the
// examples look at. Calling end ends both.
func desk() (url string, port int, end func()) {
	folder, err := os.MkdirTemp("", "daemon-proxy-example-")
	check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	service := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello from "+r.URL.Path)
	})}
	go func() { _ = service.Serve(l) }()

	c := config.Defaults()
	c.Daemon.Mode = "host"
	c.StateDir, c.CacheDir, c.Preview.StateFile = folder, folder, filepath.Join(folder, "links.db")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	c.Server.Port = free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	ctx, cancel := context.WithCancel(context.Background())
	running, err := core.Start(ctx, core.Options{Config: c, Version: "example", Logger: slog.New(slog.DiscardHandler)})
	check(err)
	return running.URL(), l.Addr().(*net.TCPAddr).Port, func() {
		cancel()
		check(running.Wait())
		_ = service.Close()
		http.DefaultClient.CloseIdleConnections()
		_ = os.RemoveAll(folder)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// get fetches the text behind a link.
func get(url string) string {
	response, err := http.Get(url)
	check(err)
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

// sandbox is what the Daytona SDK calls a sandbox.
type sandbox struct{ client *client.Client }

// PreviewLink is get_preview_link of that SDK.
func (s sandbox) PreviewLink(ctx context.Context, port int) (api.Link, error) {
	return s.client.CreateLink(ctx, api.LinkRequest{Port: port})
}

// The Sandbox example of the Python service's README.
func Example_sandbox() {
	url, port, end := desk()
	defer end()
	c, err := client.New(url)
	check(err)
	box := sandbox{c}
	ctx := context.Background()
	vnc, err := box.PreviewLink(ctx, 6080)
	check(err)
	website, err := box.PreviewLink(ctx, port)
	check(err)
	fmt.Println("VNC URL:", vnc.URL == url+"/preview/"+vnc.Token)
	fmt.Println("Website URL:", get(website.URL+"/index.html"))
	fmt.Println("Token:", len(vnc.Token) >= 26)
	// Output:
	// VNC URL: true
	// Website URL: hello from /index.html
	// Token: true
}

// The client example of the Python service's README.
func ExampleClient() {
	url, port, end := desk()
	defer end()
	c, err := client.New(url)
	check(err)
	ctx := context.Background()
	_, err = c.Health(ctx)
	check(err)
	link, err := c.CreateLink(ctx, api.LinkRequest{Port: port})
	check(err)
	fmt.Println(get(link.URL + "/"))
	stats, err := c.LinkStats(ctx)
	check(err)
	fmt.Println(stats.Active, "active,", stats.Requests, "request")
	err = c.RevokeLink(ctx, link.Token)
	check(err)
	err = c.RevokeLink(ctx, "nosuchtoken")
	fmt.Println(errors.Is(err, &api.Problem{Code: api.CodeUnknownLink}))
	// Output:
	// hello from /
	// 1 active, 1 request
	// true
}

// A link with a label and an end, and what was asked through it.
func ExampleClient_CreateLink() {
	url, port, end := desk()
	defer end()
	c, err := client.New(url, client.WithAPIKey(os.Getenv("SECURITY_API_KEY")))
	check(err)
	hour := int64(3600)
	link, err := c.CreateLink(context.Background(), api.LinkRequest{Port: port, Sandbox: "host", Label: "my site", TTLSeconds: &hour})
	check(err)
	fmt.Println(link.Label, link.SandboxName, link.Port == port, link.ExpiresAt.Sub(link.CreatedAt), strconv.Quote(link.State))
	// Output:
	// my site host true 1h0m0s "active"
}

// Injection tells its steps. The host's daemon is the program itself.
func ExampleClient_Inject() {
	url, _, end := desk()
	defer end()
	c, err := client.New(url)
	check(err)
	var last api.Injection
	err = c.Inject(context.Background(), api.Ref{Name: "host"}, func(step api.Injection) { last = step })
	check(err)
	fmt.Println(last.Finished, last.Daemon.State)
	// Output:
	// true healthy
}

// The event stream tells of each request that is forwarded, and the request
// log holds it afterwards.
func ExampleClient_Events() {
	url, port, end := desk()
	defer end()
	c, err := client.New(url)
	check(err)
	ctx := context.Background()
	link, err := c.CreateLink(ctx, api.LinkRequest{Port: port})
	check(err)
	ctx, stop := context.WithCancel(ctx)
	var seen api.Exchange
	_ = c.Follow(ctx, func(e api.Event) error {
		if e.Exchange != nil && !e.Exchange.Live {
			seen = *e.Exchange
			stop()
		}
		return nil
	}, func() { go get(link.URL + "/first") })
	fmt.Println("seen:", seen.Method, seen.Path)
	ctx = context.Background()
	requests, err := c.Exchanges(ctx, "path:/first status:2xx", 1)
	check(err)
	detail, err := c.Exchange(ctx, requests[0].ID)
	check(err)
	fmt.Println(detail.Path, detail.Status, string(detail.ResponseBody))
	// Output:
	// seen: GET /first
	// /first 200 hello from /first
}
