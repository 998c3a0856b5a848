package config

import "strings"

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	// Where is "path/config.yaml:12", "environment variable X" or "flag --x"; empty if there is no single place.
	Where string
	// Key is the full key, e.g. "server.port"; empty if the problem is the whole file.
	Key string
	// Value is what was found, fit for a terminal: quoted, cut if long, "***" for a secret.
	Value string
	// Text says what is wrong and what is allowed.
	Text string
}

// String is the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.Where, p.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	if p.Value != "" {
		b.WriteString(p.Value + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Errors is the error of Load and Validate: everything that is wrong, in the
// order of file, environment, flags.
type Errors struct{ Problems []Problem }

// Error is one line for each problem.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (e *Errors) add(p Problem) { e.Problems = append(e.Problems, p) }

// orNil is e as an error, nil if there is no problem.
func (e *Errors) orNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}
