package config

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const schemaFile = "../../docs/config.schema.json"

func TestTheSchemaOfTheConfigurationIsCurrent(t *testing.T) {
	var want bytes.Buffer
	require.NoError(t, WriteSchema(&want))
	if *update {
		require.NoError(t, os.WriteFile(schemaFile, want.Bytes(), 0o600))
	}
	have, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(have), "run go test ./core/config -update")
}

// Each text is loaded and held to the schema. Where the two differ, the
// program refuses what the schema cannot describe; the schema never refuses
// what the program takes.
func TestTheSchemaRefusesWhatTheProgramRefuses(t *testing.T) {
	t.Parallel()
	validate := configSchema(t)
	example, err := os.ReadFile(exampleFile)
	require.NoError(t, err)
	for text, want := range map[string]string{ // "", "both" refuse it, or "load" alone does
		string(example): "", pythonExample: "", "{}": "", "server:\ntui:\n  keys:\n": "",

		"sever:\n  port: 1": "both", "server:\n  prot: 1": "both", "server:\n  tls:\n    mod: off": "both",
		"server: 1": "both", "server:\n  tls: files": "both",

		"server:\n  port: 65535": "", "server:\n  port: 65536": "both", "server:\n  port: 0": "both",
		"server:\n  port: 1.5": "both", "server:\n  port: \"80\"": "both",
		"preview:\n  max_links: 1000000": "", "preview:\n  max_links: 1000001": "both",

		"preview:\n  fence: Yes": "", "preview:\n  fence: OFF": "", "preview:\n  fence: 1": "both",
		"preview:\n  fence: maybe": "both", "preview:\n  fence: \"yes\"": "load",

		"daemon:\n  startup_timeout: 30": "", "daemon:\n  startup_timeout: 0.1": "",
		"daemon:\n  startup_timeout: 1m30s": "", "daemon:\n  startup_timeout: 1.5h": "",
		"daemon:\n  startup_timeout: \"45\"": "", "daemon:\n  startup_timeout: 250ms": "",
		"daemon:\n  startup_timeout: 1d": "", "daemon:\n  startup_timeout: 0.05": "both",
		"daemon:\n  startup_timeout: 86401": "both", "daemon:\n  startup_timeout: soon": "both",
		"daemon:\n  startup_timeout: -1": "both", "daemon:\n  startup_timeout: 30 s": "both",
		"daemon:\n  startup_timeout: 2d": "load", "preview:\n  default_ttl: 7d12h": "",
		"preview:\n  default_ttl: 0": "", "preview:\n  default_ttl: 1w": "both",

		"traffic:\n  memory: 64MiB": "", "traffic:\n  memory: 1 gib": "", "traffic:\n  memory: 2048KiB": "",
		"traffic:\n  memory: 32": "both", "traffic:\n  memory: 32MB": "both",
		"traffic:\n  memory: 2GiB": "load",

		"daemon:\n  mode: Docker": "", "daemon:\n  mode: podman": "both",
		"server:\n  tls:\n    mode: off": "", "server:\n  tls:\n    mode: on": "both",
		"logging:\n  level: warn": "", "logging:\n  level: NOTSET": "", "logging:\n  level: loud": "both",
		"logging:\n  level: 10": "both",

		"server:\n  allowed_hosts: [a.example]": "", "server:\n  allowed_hosts: a.example": "both",
		"server:\n  allowed_hosts: [[a]]":               "both",
		"daemon:\n  env: {A: text, B: 1, C: true, D: }": "", "daemon:\n  env: {A: [1]}": "both",
		"daemon:\n  env: {\"A=B\": c}": "both", "daemon:\n  env: [A=1]": "both",

		"daemon:\n  container_name: 42": "", "daemon:\n  container_name: [a]": "both",
		"daemon:\n  container_name: a b": "load", "security:\n  api_key: 12345": "",
	} {
		_, _, err := loadFile(t, text, nil)
		var document any
		require.NoError(t, yaml.Unmarshal([]byte(text), &document))
		refused := validate(document)
		switch want {
		case "":
			require.NoError(t, err, text)
			require.NoError(t, refused, text)
		case "both":
			require.Error(t, err, text)
			require.Error(t, refused, text)
		case "load":
			require.Error(t, err, text)
			require.NoError(t, refused, text)
		}
	}
}

// Every key is in the schema, with its text and a default that the schema
// itself allows, and nothing else is.
func TestTheSchemaDescribesEveryKey(t *testing.T) {
	t.Parallel()
	var written bytes.Buffer
	require.NoError(t, WriteSchema(&written))
	var root schema
	require.NoError(t, json.Unmarshal(written.Bytes(), &root))
	described := 0
	var count func(schema)
	count = func(s schema) {
		if s.Properties == nil {
			described++
		}
		for _, inner := range s.Properties {
			count(inner)
		}
	}
	count(root)
	require.Len(t, Keys(), described)

	validate := configSchema(t)
	for _, k := range Keys() {
		at, names := root, strings.Split(k.Path, ".")
		for _, name := range names {
			at = at.Properties[name]
		}
		for _, text := range []string{k.Doc, k.Allowed, k.Env, k.Flag} {
			require.Contains(t, at.Description, text, k.Path)
		}
		require.NotNil(t, at.Default, k.Path)
		document := at.Default
		for i := len(names) - 1; i >= 0; i-- {
			document = map[string]any{names[i]: document}
		}
		require.NoError(t, validate(document), k.Path)
	}
}

// configSchema holds documents to the schema as the program writes it.
func configSchema(t *testing.T) func(document any) error {
	t.Helper()
	var written bytes.Buffer
	require.NoError(t, WriteSchema(&written))
	document, err := jsonschema.UnmarshalJSON(&written)
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("config.schema.json", document))
	s, err := compiler.Compile("config.schema.json")
	require.NoError(t, err)
	return s.Validate
}
