package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// archive writes NAME.tar.gz, or NAME.zip for Windows, with one folder in it.
func archive(name, platform string, entries []entry, when time.Time) (err error) {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	suffix := ".tar.gz"
	if strings.HasPrefix(platform, "windows/") {
		suffix = ".zip"
	}
	file, err := os.Create(name + suffix) //nolint:gosec // in the folder that was asked for
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	folder := filepath.Base(name) + "/"
	if suffix == ".zip" {
		return writeZip(file, folder, entries, when)
	}
	packed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(packed)
	for _, e := range entries {
		if err := writeTar(w, folder, e, when); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), packed.Close())
}

func writeTar(w *tar.Writer, folder string, e entry, when time.Time) error {
	content, err := os.ReadFile(e.path)
	if err != nil {
		return err
	}
	head := &tar.Header{Name: folder + e.name, Mode: int64(e.mode), Size: int64(len(content)), ModTime: when, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
	if err := w.WriteHeader(head); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

func writeZip(file io.Writer, folder string, entries []entry, when time.Time) error {
	w := zip.NewWriter(file)
	for _, e := range entries {
		content, err := os.ReadFile(e.path)
		if err != nil {
			return err
		}
		head := &zip.FileHeader{Name: folder + e.name, Method: zip.Deflate, Modified: when}
		head.SetMode(e.mode)
		part, err := w.CreateHeader(head)
		if err != nil {
			return err
		}
		if _, err := part.Write(content); err != nil {
			return err
		}
	}
	return w.Close()
}

// bill is the list of all modules in any of the builds, as CycloneDX 1.6.
func bill(infos []*debug.BuildInfo, version string, when time.Time) ([]byte, error) {
	type object = map[string]any
	modules := map[string]object{}
	for _, info := range infos {
		for _, module := range append(info.Deps, &debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}) {
			if module.Replace != nil {
				module = module.Replace
			}
			id := "pkg:golang/" + module.Path + "@" + module.Version
			modules[id] = object{"type": "library", "name": module.Path, "version": module.Version, "bom-ref": id, "purl": id}
		}
	}
	var components []object
	for _, id := range slices.Sorted(maps.Keys(modules)) {
		components = append(components, modules[id])
	}
	text, err := json.MarshalIndent(object{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata": object{"timestamp": when.Format(time.RFC3339), "component": object{
			"type": "application", "name": "daemon-proxy", "version": version, "bom-ref": "daemon-proxy@" + version}},
		"components": components,
	}, "", "  ")
	return append(text, '\n'), err
}
