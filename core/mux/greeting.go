package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// MaxNoise bounds what the other end may print before its greeting.
const MaxNoise = 64 << 10

// ErrNoGreeting is the error of Greeting if the other end did not send one.
var ErrNoGreeting = errors.New("the other end said nothing that a bridge says")

// Greeting reads lines up to the one that is the greeting, and not a byte further,
// until ctx ends. It returns what came before.
func Greeting(ctx context.Context, conn net.Conn, is func(line []byte) bool) (noise []byte, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	begin := 0 // of the current line
	var b [1]byte
	for range MaxNoise {
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			if ctx.Err() != nil {
				return noise, ctx.Err()
			}
			return noise, ErrNoGreeting
		}
		if b[0] != '\n' {
			noise = append(noise, b[0])
			continue
		}
		if is(noise[begin:]) {
			return noise[:begin], nil
		}
		noise = append(noise, b[0])
		begin = len(noise)
	}
	return noise, ErrNoGreeting
}
