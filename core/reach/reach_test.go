package reach

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheFirstAddressThatAnswersIsUsed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	r := Direct(0, "::1", "127.0.0.1")
	require.Equal(t, "::1", r.Host)
	c, err := r.Dial(t.Context(), port)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, l.Addr().String(), c.RemoteAddr().String())
}

func TestAReachThatEndedFailsWithTheCause(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	ctx, end := context.WithCancelCause(t.Context())
	r := Direct(0, "127.0.0.1").Until(ctx, "box 1")
	require.Equal(t, "box 1", r.Key)
	end(gone)
	_, err := r.Dial(t.Context(), 1)
	require.ErrorIs(t, err, gone)
	require.False(t, Reach{}.Leads())
	_, err = Reach{}.Dial(t.Context(), 1)
	require.Error(t, err)
}
