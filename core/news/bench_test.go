package news

import (
	"testing"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/traffic"
)

// BenchmarkAnExchange is what one costs the request log: alone, and with a
// follower that takes the news as often as the UI does.
func BenchmarkAnExchange(b *testing.B) {
	for _, followed := range []bool{false, true} {
		b.Run(map[bool]string{false: "nobody-follows", true: "followed"}[followed], func(b *testing.B) {
			e, log := newFeed()
			if followed {
				s := e.Follow(b.Context())
				go func() {
					for {
						if _, err := s.Next(b.Context()); err != nil {
							return
						}
						time.Sleep(150 * time.Millisecond)
					}
				}()
			}
			for b.Loop() {
				log.Begin(api.Exchange{Method: "GET", Path: "/app/main.js", Sandbox: "web", Port: 3000, Kind: "proxy"}).End(traffic.End{Status: 200})
			}
		})
	}
}
