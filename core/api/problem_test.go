package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The API's documents take the statuses from the comments beside the codes.
func TestEveryCodeHasATitleAndAStatusOfItsComment(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, parser.ParseComments)
	require.NoError(t, err)
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || spec.Comment == nil {
			return true
		}
		value, ok := spec.Values[0].(*ast.BasicLit)
		require.True(t, ok)
		code, err := strconv.Unquote(value.Value)
		require.NoError(t, err)
		p := NewProblem(code, "", "")
		require.NotEmpty(t, p.Title, code)
		require.Contains(t, spec.Comment.Text(), strconv.Itoa(p.Status), code)
		codes++
		return true
	})
	require.Len(t, kinds, codes)
}
