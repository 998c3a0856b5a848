package core

import (
	"context"
	"net"
	"net/netip"

	"daemon-proxy/core/api"
	"daemon-proxy/core/proxy"
)

// Share serves one link to the network that this machine is on, in path mode,
// until ctx, the link or the core ends. Everything else is 404 there. The link
// must have an expiry. Problems: that of a link which has ended, needs_expiry,
// no_network.
func (c *Core) Share(ctx context.Context, id string) (share api.Share, err error) {
	link, ok := c.links.Get(id)
	if !ok {
		return share, api.NewProblem(api.CodeUnknownLink, "there is no such preview link", "see the list of links")
	}
	live, err := c.links.Resolve(link.Token)
	if err != nil {
		return share, err
	}
	if live.ExpiresAt.IsZero() {
		return share, api.NewProblem(api.CodeNeedsExpiry,
			"this link is valid until it is revoked; only one that expires can be shared on the network",
			"make a new link with a time to live").In(link.SandboxName, link.Port)
	}
	listener, err := listenLAN(ctx)
	if err != nil {
		return share, err
	}
	address := listener.Addr().String()
	serving, cancel := context.WithCancel(ctx)
	server := proxy.NewServer(c.server.Single(live, address), c.options.Logger)
	server.BaseContext = func(net.Listener) context.Context { return serving } // its end ends WebSockets too
	forget := context.AfterFunc(live.Context(), cancel)
	stop := context.AfterFunc(c.ctx, cancel)
	closed := context.AfterFunc(serving, func() { _ = server.Close() })
	c.group.Go(func() {
		_ = server.Serve(listener) // it ends with serving
		forget()
		stop()
		closed()
		cancel()
	})
	c.options.Logger.Info("a link is shown to the network", "link", live.ID, "address", address, "until", live.ExpiresAt)
	return api.Share{URL: "http://" + address + "/preview/" + live.Token + "/", Expires: live.ExpiresAt}, nil
}

// listenLAN listens on this machine's address on the network. No packet is
// sent to find it: the kernel is asked which address it would use.
func listenLAN(ctx context.Context) (net.Listener, error) {
	var address netip.Addr
	var d net.Dialer
	for _, far := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // documentation addresses: the default route
		if c, err := d.DialContext(ctx, "udp", far); err == nil {
			if local, ok := c.LocalAddr().(*net.UDPAddr); ok {
				address = local.AddrPort().Addr().Unmap()
			}
			c.Close()
			break
		}
	}
	if !address.IsValid() || address.IsLoopback() || address.IsUnspecified() {
		return nil, api.NewProblem(api.CodeNoNetwork, "this machine has no address on a network",
			"connect it, then try again")
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return nil, api.NewProblem(api.CodeNoNetwork, "cannot listen on "+address.String()+": "+err.Error(),
			"check whether a firewall or VPN blocks it")
	}
	return l, nil
}
