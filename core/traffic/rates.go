package traffic

import (
	"math/bits"
	"sync"
	"time"

	"daemon-proxy/core/api"
)

// window is what Rates looks back on, in seconds.
const window = 60

// rates counts ended exchanges by second and by duration.
type rates struct {
	mu      sync.Mutex
	seconds [window]second
}

// second is one second's count. The durations are counted in buckets that grow
// by an eighth of a power of two.
type second struct {
	unix    int64
	count   int
	buckets [8 * 48]uint32
}

func bucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 1)) << 3
	exponent := bits.Len64(us) - 4
	return min(exponent*8+int(us>>exponent)-8, 8*48-1)
}

// middle is a duration that stands for those of a bucket.
func middle(b int) time.Duration {
	exponent, step := b/8, b%8
	low := uint64(8+step) << exponent
	return time.Duration((low+uint64(1)<<exponent/2)>>3) * time.Microsecond
}

func (r *rates) add(at time.Time, d time.Duration) {
	unix := at.Unix()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.seconds[uint64(unix)%window]
	if s.unix != unix {
		*s = second{unix: unix}
	}
	s.count++
	s.buckets[bucket(d)]++
}

func (r *rates) at(now time.Time) api.Rates {
	var out api.Rates
	var total [8 * 48]uint64
	var sum uint64
	r.mu.Lock()
	for i := range out.Spark {
		unix := now.Unix() - window + 1 + int64(i)
		s := &r.seconds[uint64(unix)%window]
		if s.unix != unix {
			continue
		}
		out.Spark[i] = s.count
		sum += uint64(s.count)
		for b, n := range s.buckets {
			total[b] += uint64(n)
		}
	}
	r.mu.Unlock()
	for _, n := range out.Spark[window-10:] {
		out.PerSecond += float64(n) / 10
	}
	if sum > 0 {
		out.P50, out.P99 = quantile(&total, sum, 50), quantile(&total, sum, 99)
	}
	return out
}

func quantile(buckets *[8 * 48]uint64, sum, percent uint64) time.Duration {
	want := max((sum*percent+99)/100, 1)
	for b, n := range buckets {
		if n >= want {
			return middle(b)
		}
		want -= n
	}
	return 0
}
