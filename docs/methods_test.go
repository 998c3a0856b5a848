package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mostMethods is how many methods a type may have.
const mostMethods = 40

func TestNoTypeHasMoreMethodsThanAPersonCanKeepInMind(t *testing.T) {
	t.Parallel()
	methods := map[string]int{}
	for _, root := range []string{"../cmd", "../core", "../tui"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
					of := f.Recv.List[0].Type
					if pointer, ok := of.(*ast.StarExpr); ok {
						of = pointer.X
					}
					if name, ok := of.(*ast.Ident); ok { // all but generic types
						methods[filepath.Dir(path)+"."+name.Name]++
					}
				}
			}
			return nil
		}))
	}
	for name, n := range methods {
		require.LessOrEqual(t, n, mostMethods, name)
	}
}
