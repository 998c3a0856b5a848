package proxy

import (
	"strings"
	"sync"
	"time"
)

// pool keeps idle upstream connections, the most recently used last, because
// that one is the likeliest to be alive and warm.
type pool struct {
	perKey  int
	timeout time.Duration

	mu     sync.Mutex
	idle   map[string][]*upstream
	sweep  *time.Timer // armed while a connection is idle
	closed bool
}

// get takes an idle connection of that key, or returns nil. Connections that
// are too old, that the daemon has closed, or on which it sent something that
// nobody asked for (which the next request would take for its answer) are
// closed on the way.
func (p *pool) get(key string) *upstream {
	for {
		p.mu.Lock()
		list := p.idle[key]
		if len(list) == 0 {
			p.mu.Unlock()
			return nil
		}
		u := list[len(list)-1]
		list[len(list)-1] = nil
		p.idle[key] = list[:len(list)-1]
		p.mu.Unlock()
		if time.Since(u.idleSince) < p.timeout && u.br.Buffered() == 0 && u.quiet() {
			return u
		}
		u.Close()
	}
}

// put keeps u for another request, or closes it if the pool is full.
func (p *pool) put(u *upstream) {
	if u.key == "" || u.br.Buffered() > 0 {
		u.Close()
		return
	}
	u.idleSince = time.Now()
	u.used = true
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[u.key]) >= p.perKey {
		u.Close()
		return
	}
	if p.idle == nil {
		p.idle = make(map[string][]*upstream)
	}
	p.idle[u.key] = append(p.idle[u.key], u)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout, p.expire)
	}
}

// expire closes what has been idle for too long and comes back for the rest.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep = nil
	if p.closed {
		return
	}
	now := time.Now()
	oldest := time.Duration(-1)
	for key, list := range p.idle {
		keep := list[:0]
		for _, u := range list {
			age := now.Sub(u.idleSince)
			if age >= p.timeout {
				u.Close()
				continue
			}
			oldest = max(oldest, age)
			keep = append(keep, u)
		}
		clear(list[len(keep):])
		if len(keep) == 0 {
			delete(p.idle, key)
		} else {
			p.idle[key] = keep
		}
	}
	if oldest >= 0 {
		p.sweep = time.AfterFunc(p.timeout-oldest, p.expire)
	}
}

// drop closes the idle connections of a key and of its ports.
func (p *pool) drop(key string) {
	var list []*upstream
	p.mu.Lock()
	for known, idle := range p.idle {
		if known == key || strings.HasPrefix(known, key+PoolPort) {
			list = append(list, idle...)
			delete(p.idle, known)
		}
	}
	p.mu.Unlock()
	for _, u := range list {
		u.Close()
	}
}

// close closes every idle connection, and each that is put back from now on.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	for _, list := range p.idle {
		for _, u := range list {
			u.Close()
		}
	}
	p.idle = nil
}
