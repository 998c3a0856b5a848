// Package metrics counts what the program does, in the form that Prometheus
// reads (prometheus.io/docs/instrumenting/exposition_formats).
//
// Labels are names of sandboxes, ports and a few fixed words: never a path, a
// token or a host. There are less than 2,000 series, whatever requests and
// containers come: what is beyond the limits is counted together as "other".
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"daemon-proxy/core/api"
)

const (
	// maxPlaces bounds the pairs of sandbox and port, each of which is up to eight
	// series, and maxSandboxes the sandboxes whose daemon is described, each two.
	maxPlaces    = 150
	maxSandboxes = 250
	// other stands for everything beyond.
	other = "other"
)

// Options configure New.
type Options struct {
	Version string
	// Sandboxes is called for each answer.
	Sandboxes func() []api.Sandbox
	// Open is how many exchanges of each protocol are under way.
	Open func() map[string]int
	// Dropped is how many exchanges the request log had no room for any more.
	Dropped func() uint64
}

// Metrics counts. Its methods may be called from any goroutine.
type Metrics struct {
	http.Handler
	options Options

	requests, bytes *prometheus.CounterVec
	seconds         *prometheus.HistogramVec
	injections      *prometheus.CounterVec

	mu     sync.RWMutex
	places map[place]*counters
}

// place is where requests lead.
type place struct {
	ref  api.Ref
	port int
}

// counters are those of one place. A class is made when it is first counted.
type counters struct {
	labels  prometheus.Labels
	classes [classes]prometheus.Counter
	in, out prometheus.Counter
}

// classes are those of status codes, and 0 for an exchange that got no answer.
const classes = 6

// New returns metrics that are all zero.
func New(o Options) *Metrics {
	where := []string{"sandbox", "port"}
	m := &Metrics{
		options: o, places: map[place]*counters{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daemon_proxy_requests_total", Help: "Requests that have ended, by the class of their status; none: no answer.",
		}, append(where, "class")),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daemon_proxy_bytes_total", Help: "Bytes of bodies and WebSockets: in is from clients, out to them.",
		}, append(where, "direction")),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "daemon_proxy_request_seconds", Help: "Time until the head of the answer had arrived.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"kind"}),
		injections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daemon_proxy_injections_total", Help: "Injections of a daemon that have ended.",
		}, []string{"outcome"}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		m.requests, m.bytes, m.seconds, m.injections, scraped{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "daemon_proxy_build_info", Help: "1, with the version of the program.",
			ConstLabels: prometheus.Labels{"version": o.Version},
		}, func() float64 { return 1 }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "daemon_proxy_request_log_dropped_total", Help: "Exchanges that the request log had no room for any more.",
		}, func() float64 { return float64(o.Dropped()) }),
	)
	m.Handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, ErrorHandling: promhttp.ContinueOnError,
	})
	return m
}

// Ended counts an exchange that has ended.
func (m *Metrics) Ended(x api.Exchange) {
	c := m.at(place{x.Ref, x.Port})
	class := x.Status / 100
	if class < 0 || class >= classes {
		class = 0
	}
	m.class(c, class).Inc()
	c.in.Add(float64(max(0, x.BytesIn)))
	c.out.Add(float64(max(0, x.BytesOut)))
	if x.FirstByte > 0 {
		m.seconds.WithLabelValues(x.Kind).Observe(x.FirstByte.Seconds())
	}
}

// at returns the counters of a place, or those of all others.
func (m *Metrics) at(p place) *counters {
	m.mu.RLock()
	c := m.places[p]
	full := len(m.places) >= maxPlaces
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	if full {
		p = place{port: -1}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c = m.places[p]; c != nil {
		return c
	}
	c = &counters{labels: p.labels()}
	c.in = m.bytes.MustCurryWith(c.labels).WithLabelValues("in")
	c.out = m.bytes.MustCurryWith(c.labels).WithLabelValues("out")
	m.places[p] = c
	return c
}

// labels are those of a place; that of the program's own API has empty ones.
func (p place) labels() prometheus.Labels {
	switch p.port {
	case -1:
		return prometheus.Labels{"sandbox": other, "port": other}
	case 0:
		return prometheus.Labels{"sandbox": named(p.ref), "port": ""}
	}
	return prometheus.Labels{"sandbox": named(p.ref), "port": strconv.Itoa(p.port)}
}

// named is the label of a sandbox; Prometheus takes only UTF-8.
func named(ref api.Ref) string { return strings.ToValidUTF8(ref.Long(), "\uFFFD") }

// class returns the counter of a class of status codes.
func (m *Metrics) class(c *counters, class int) prometheus.Counter {
	m.mu.RLock()
	counter := c.classes[class]
	m.mu.RUnlock()
	if counter != nil {
		return counter
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := "none"
	if class > 0 {
		name = strconv.Itoa(class) + "xx"
	}
	c.classes[class] = m.requests.MustCurryWith(c.labels).WithLabelValues(name)
	return c.classes[class]
}

// Event counts the injections that have ended.
func (m *Metrics) Event(e api.Event) {
	switch i := e.Injection; {
	case i == nil || !i.Finished:
	case i.Error != nil:
		m.injections.WithLabelValues("failed").Inc()
	default:
		m.injections.WithLabelValues("done").Inc()
	}
}

// scraped are the metrics that are found out for each answer.
type scraped struct{ *Metrics }

var (
	open = prometheus.NewDesc("daemon_proxy_open_streams", "Exchanges that are under way, by protocol.",
		[]string{"protocol"}, nil)
	state = prometheus.NewDesc("daemon_proxy_daemon_state", "1 for the state in which the daemon of a sandbox is.",
		[]string{"sandbox", "state"}, nil)
	latency = prometheus.NewDesc("daemon_proxy_daemon_latency_seconds", "How long the daemon took to answer the last check.",
		[]string{"sandbox"}, nil)
)

// Describe implements prometheus.Collector.
func (scraped) Describe(to chan<- *prometheus.Desc) { to <- open; to <- state; to <- latency }

// Collect implements prometheus.Collector.
func (s scraped) Collect(to chan<- prometheus.Metric) {
	for protocol, n := range s.options.Open() {
		to <- prometheus.MustNewConstMetric(open, prometheus.GaugeValue, float64(n), protocol)
	}
	for i, box := range s.options.Sandboxes() {
		if i == maxSandboxes {
			return
		}
		name := named(box.Ref)
		to <- prometheus.MustNewConstMetric(state, prometheus.GaugeValue, 1, name, string(box.Daemon.State))
		if took := box.Daemon.LatencyMS; took > 0 {
			to <- prometheus.MustNewConstMetric(latency, prometheus.GaugeValue, took/1000, name)
		}
	}
}
