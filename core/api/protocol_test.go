package api

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProtocolsOfOneMajorFit(t *testing.T) {
	t.Parallel()
	for theirs, fits := range map[string]bool{
		Protocol: true, "1": true, "1.99": true, "2.0": false, "0.9": false, "10.0": false, "": false, "nonsense": false,
	} {
		err := CheckProtocol("this one", "the other", theirs)
		if fits {
			require.NoError(t, err, theirs)
			continue
		}
		require.ErrorIs(t, err, &Problem{Code: CodeProtocolMismatch}, theirs)
		require.Regexp(t, "^the other .*this one ", err.Error())
		require.ErrorContains(t, err, theirs)
		require.ErrorContains(t, err, Protocol)
		require.NotEmpty(t, AsProblem(err).Hint)
	}
	require.EqualError(t, CheckProtocol("this one", "the other", ""), "the other is older than protocol 1.0, which this one speaks")
}
