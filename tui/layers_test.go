package tui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// layers are the files of this package, from the lowest: none refers to what a
// later line declares.
const layers = `
	backend options layout keymap
	commands notes overlay help
	stage
	ui
	header titles port_news quit follow dispatch request_actions
	sandbox_desktop sandbox_actions link_open link_share link_actions engines
	model
	actions
	input update view
	uistate panics painted tui
`

func TestNoFileRefersToALayerAboveIt(t *testing.T) {
	t.Parallel()
	rank := map[string]int{}
	for i, line := range strings.Split(layers, "\n") {
		for name := range strings.FieldsSeq(line) {
			rank[name+".go"] = i
		}
	}
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	declaredIn, unresolved := map[string]string{}, map[string][]*ast.Ident{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		require.Contains(t, rank, name, "it has no layer")
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		unresolved[name] = file.Unresolved
		for declared := range file.Scope.Objects {
			declaredIn[declared] = name
		}
	}
	for name, idents := range unresolved {
		for _, ident := range slices.Compact(idents) {
			if other := declaredIn[ident.Name]; other != "" {
				require.LessOrEqual(t, rank[other], rank[name], "%s refers to %s of %s", name, ident.Name, other)
			}
		}
	}
}
