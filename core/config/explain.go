package config

import (
	"io"
	"strings"
)

// Effective is the whole configuration with the place where each value was given.
type Effective struct {
	// File is the configuration file; empty without one.
	File string `json:"file"`
	// Values are in the order of the example file.
	Values []Given `json:"values"`
	config Config
}

// Given is one value and where it comes from.
type Given struct {
	Key   string `json:"key"`
	Value string `json:"value"` // as the file has it; the API key is masked
	// From is a line of the file, a variable, a flag, or "default".
	From string `json:"from"`
}

// Explain loads the configuration as Load does, and says where each value was given.
func Explain(opts Options) (Effective, error) {
	l, cfg, err := load(opts)
	if err != nil {
		return Effective{}, err
	}
	e := Effective{File: cfg.File, config: cfg}
	shown := cfg.masked()
	for _, k := range l.keys {
		from := "default"
		if o, given := l.origins[k.Path]; given {
			from = o.where
		}
		e.Values = append(e.Values, Given{Key: k.Path, Value: k.yaml(k.get(&shown)), From: from})
	}
	return e, nil
}

// WriteYAML writes every value as a configuration file, each after a comment
// that says where it was given.
func (e Effective) WriteYAML(w io.Writer) error {
	from := map[string]string{}
	for _, given := range e.Values {
		from[given.Key] = given.From
	}
	var b strings.Builder
	err := e.config.masked().write(&b, func(k key) string { return "  # " + from[k.Path] + "\n" })
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.ReplaceAll(b.String(), "\n\n  #", "\n  #"))
	return err
}

// masked is c with its secret hidden.
func (c Config) masked() Config {
	if c.Security.APIKey != "" {
		c.Security.APIKey = mask
	}
	return c
}
