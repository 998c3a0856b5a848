// Package layertest tests that the files of a package refer only downwards.
package layertest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Run tests the package in the current folder. layers are its files, a layer a
// line, from the lowest: none may refer to what a later line declares, be it a
// name, a field or a method.
func Run(t *testing.T, layers string) {
	t.Helper()
	rank := map[string]int{}
	for i, line := range strings.Split(layers, "\n") {
		for name := range strings.FieldsSeq(line) {
			rank[name+".go"] = i
		}
	}
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	files := map[string]*ast.File{}
	declaredIn := map[string]string{} // names of the package
	membersIn := map[string]string{}  // unexported fields and methods, in the lowest file that has one of that name
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		require.Contains(t, rank, name, "it has no layer")
		files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for declared := range files[name].Scope.Objects {
			declaredIn[declared] = name
		}
		for _, member := range membersOf(files[name]) {
			if other := membersIn[member]; other == "" || rank[name] < rank[other] {
				membersIn[member] = name
			}
		}
	}
	for name, file := range files {
		for _, ident := range file.Unresolved {
			if other := declaredIn[ident.Name]; other != "" {
				require.LessOrEqual(t, rank[other], rank[name], "%s refers to %s of %s", name, ident.Name, other)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok && membersIn[selector.Sel.Name] != "" {
				member, other := selector.Sel.Name, membersIn[selector.Sel.Name]
				require.LessOrEqual(t, rank[other], rank[name], "%s uses %s of %s", name, member, other)
			}
			return true
		})
	}
}

// membersOf returns the unexported methods and fields of a file; those of other
// packages have other names.
func membersOf(file *ast.File) (members []string) {
	add := func(name *ast.Ident) {
		if !name.IsExported() {
			members = append(members, name.Name)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv != nil {
				add(n.Name)
			}
		case *ast.StructType:
			for _, field := range n.Fields.List {
				for _, name := range field.Names {
					add(name)
				}
				if of, ok := field.Type.(*ast.StarExpr); ok && field.Names == nil {
					field.Type = of.X
				}
				if of, ok := field.Type.(*ast.Ident); ok && field.Names == nil {
					add(of) // embedded
				}
			}
		case *ast.InterfaceType:
			for _, method := range n.Methods.List {
				for _, name := range method.Names {
					add(name)
				}
			}
		}
		return true
	})
	return members
}
