package logging

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// httpErrorEvery is how often, at most, an error of one kind is logged.
const httpErrorEvery = time.Second

// longestHTTPError bounds one message in bytes: a panic comes with its stack.
const longestHTTPError = 8 << 10

// httpErrorKinds are the beginnings of net/http's messages, each with its
// level. All other messages are of one more kind, at WARNING.
var httpErrorKinds = []struct {
	prefix string
	level  slog.Level
}{
	{"http: panic serving", slog.LevelError},
	{"http: Accept error", slog.LevelError}, // "too many open files" among them
	{"http: TLS handshake error", slog.LevelWarn},
	{"", slog.LevelWarn},
}

// HTTPErrors returns a logger for http.Server.ErrorLog. Panics of handlers and
// connections that cannot be accepted are logged at ERROR, all else at WARNING.
// A kind gets one record a second at most; the next one counts those omitted.
func HTTPErrors(logger *slog.Logger) *log.Logger {
	return log.New(&httpErrors{logger: logger, kinds: make([]httpErrorKind, len(httpErrorKinds))}, "", 0)
}

type httpErrors struct {
	logger *slog.Logger

	mu    sync.Mutex
	kinds []httpErrorKind // as httpErrorKinds
}

type httpErrorKind struct {
	logged  time.Time
	omitted int
}

func (h *httpErrors) Write(message []byte) (int, error) {
	text := strings.TrimSpace(string(message[:min(len(message), longestHTTPError)]))
	for i, kind := range httpErrorKinds {
		if strings.HasPrefix(text, kind.prefix) {
			if omitted, due := h.due(i); due {
				h.record(kind.level, text, omitted)
			}
			break
		}
	}
	return len(message), nil
}

// due reports whether a message of a kind is to be logged now, and how many
// were omitted before it.
func (h *httpErrors) due(kind int) (omitted int, due bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := &h.kinds[kind]
	if now := time.Now(); now.Sub(k.logged) >= httpErrorEvery {
		omitted, *k = k.omitted, httpErrorKind{logged: now}
		return omitted, true
	}
	k.omitted++
	return 0, false
}

func (h *httpErrors) record(level slog.Level, text string, omitted int) {
	if omitted > 0 {
		h.logger.Log(context.Background(), level, text, "omitted", omitted)
		return
	}
	h.logger.Log(context.Background(), level, text)
}
