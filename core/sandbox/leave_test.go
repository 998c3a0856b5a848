package sandbox

import (
	"context"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
)

func TestAnInjectionThatIsLeftOutlivesItsCallers(t *testing.T) {
	t.Parallel()
	for _, cancelled := range []bool{false, true} {
		t.Run(map[bool]string{false: "to its end", true: "until it is cancelled"}[cancelled], func(t *testing.T) {
			t.Parallel()
			name, id := shellBox(t, enginetest.RunOptions{})
			hold := &holding{
				Source: enginetest.Require(t), reached: make(chan struct{}), release: make(chan struct{}),
			}
			d := builtIn(t, name, func(o *Options) { o.Source, o.Config.ContainerName = hold, "" })
			d.run()
			d.becomes(name, api.DaemonNone)
			requireProblem(t, d.LeaveInjection(t.Context(), d.ref(name)), api.CodeBadRequest)

			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- d.Inject(ctx, d.ref(name), nil) }()
			<-hold.reached
			require.NoError(t, d.LeaveInjection(t.Context(), d.ref(name)))
			cancel()
			require.ErrorIs(t, <-result, &api.Problem{Code: api.CodeCancelled})
			require.Equal(t, api.DaemonInjecting, d.get(name).Daemon.State)
			if cancelled {
				require.NoError(t, d.CancelInjection(t.Context(), d.ref(name)))
				_, err := hold.Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
				require.ErrorIs(t, err, fs.ErrNotExist)
				return
			}
			close(hold.release)
			d.becomes(name, api.DaemonHealthy)
		})
	}
}
