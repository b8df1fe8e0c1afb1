// Reads what Docker would read, with Docker's own parsers, and prints it as JSON: a Dockerfile with the files of its context,
// or a compose file that fits the compose specification; and the documents of a YAML file, for who has no parser. What is wrong
// goes to stderr, and the exit code is 1.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"go.yaml.in/yaml/v4"
)

func main() {
	var read any
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "compose":
		read, err = compose(args[1])
	case len(args) == 3 && args[0] == "dockerfile":
		read, err = dockerfile(args[1], args[2])
	case len(args) == 1 && args[0] == "documents":
		read, err = documents(os.Stdin)
	default:
		err = fmt.Errorf("use: read compose FILE, read dockerfile FILE CONTEXT, or read documents < FILE")
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(read)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The project as compose would run it: held to the schema, variables filled in from the environment, references resolved.
func compose(file string) (any, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	details := types.ConfigDetails{
		WorkingDir:  filepath.Dir(file),
		ConfigFiles: []types.ConfigFile{{Filename: file, Content: content}},
		Environment: types.NewMapping(os.Environ()),
	}
	return loader.LoadWithContext(context.Background(), details, func(options *loader.Options) {
		options.SetProjectName("eduk", true)
		options.ResolvePaths = true
	})
}

// Those that are not empty.
func documents(from io.Reader) (any, error) {
	found := []any{}
	decoder := yaml.NewDecoder(from)
	for {
		var document any
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		if document != nil {
			found = append(found, document)
		}
	}
}

type stage struct {
	Name     string    `json:"name"`
	Base     string    `json:"base"`
	Commands []command `json:"commands"`
}

type command struct {
	Name string `json:"name"`
	// As written, variables and all.
	Of any `json:"of"`
}

type image struct {
	Arguments map[string]string `json:"arguments"`
	Stages    []stage           `json:"stages"`
	Warnings  []string          `json:"warnings"`
	// Files that COPY can find, from the top of the context.
	Context []string `json:"context"`
}

func dockerfile(file, top string) (any, error) {
	text, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	found := image{Arguments: map[string]string{}, Warnings: []string{}}
	lint := linter.New(&linter.Config{Warn: func(rule, about, url, said string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		found.Warnings = append(found.Warnings, fmt.Sprintf("line %d: %s: %s", line, rule, said))
	}})
	for _, warning := range parsed.Warnings {
		found.Warnings = append(found.Warnings, warning.Short)
	}
	stages, arguments, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		return nil, err
	}
	for _, one := range arguments {
		for _, pair := range one.Args {
			if pair.Value != nil {
				found.Arguments[pair.Key] = *pair.Value
			}
		}
	}
	for _, one := range stages {
		commands := []command{}
		for _, it := range one.Commands {
			commands = append(commands, command{Name: it.Name(), Of: reflect.ValueOf(it).Elem().Interface()})
		}
		found.Stages = append(found.Stages, stage{Name: one.Name, Base: one.BaseName, Commands: commands})
	}
	found.Context, err = kept(top, file+".dockerignore")
	return found, err
}

// Files of a folder that an ignore file leaves in.
func kept(top, ignore string) ([]string, error) {
	text, err := os.Open(ignore)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	patterns, err := ignorefile.ReadAll(text)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	files := []string{}
	matched := map[string]patternmatcher.MatchInfo{}
	err = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == top {
			return err
		}
		relative, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		ignored, info, err := matcher.MatchesUsingParentResults(relative, matched[filepath.Dir(relative)])
		if err != nil {
			return err
		}
		if entry.IsDir() {
			// Nothing of ours is in them, and they are large.
			if name := entry.Name(); ignored && (name == "node_modules" || name == ".git") {
				return fs.SkipDir
			}
			matched[relative] = info
		} else if !ignored {
			files = append(files, filepath.ToSlash(relative))
		}
		return nil
	})
	return files, err
}
