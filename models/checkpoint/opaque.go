package checkpoint

import (
	"slices"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

// opaqueClass stands for a class or function that has nothing to do with tensors, such as argparse.Namespace or
// numpy.dtype: the arguments and settings that people save beside their weights. Calling it makes an object that does
// nothing.
type opaqueClass struct{ name string }

// Call implements types.Callable.
func (c opaqueClass) Call(...any) (any, error) { return &opaque{class: c.name}, nil }

// PyNew implements types.PyNewable.
func (c opaqueClass) PyNew(...any) (any, error) { return &opaque{class: c.name}, nil }

// opaque stands for an object of an opaqueClass. It keeps the entries of a mapping, such as a defaultdict with tensors, and
// forgets everything else that a pickle sets.
type opaque struct {
	class string
	items []types.DictEntry
}

// Set implements types.DictSetter.
func (o *opaque) Set(key, value any) {
	o.items = append(o.items, types.DictEntry{Key: key, Value: value})
}

// Append implements types.ListAppender.
func (o *opaque) Append(any) {}

// PySetState implements types.PyStateSettable.
func (o *opaque) PySetState(any) error { return nil }

// hostile reports that a pickle names something whose only use in it is to run code. Nothing runs anyway: this is for the
// reader of the message.
func hostile(module, name string) bool {
	top, _, _ := strings.Cut(module, ".")
	switch top {
	case "builtins", "__builtin__":
		return !slices.Contains([]string{
			"set", "frozenset", "slice", "range", "xrange", "complex", "bytearray", "bytes", "object", "int", "long", "float",
			"bool", "str", "unicode", "list", "dict", "tuple", "type", "print", "len", "min", "max", "sum", "Ellipsis",
			"NotImplemented",
		}, name)
	case "torch":
		return module == "torch" && name == "load" || module == "torch.hub" || module == "torch.package"
	}
	return slices.Contains([]string{
		"os", "posix", "nt", "subprocess", "sys", "runpy", "importlib", "imp", "shutil", "socket", "webbrowser", "ctypes",
		"pty", "code", "codeop", "commands", "popen2", "platform", "pickle", "_pickle", "cPickle", "marshal", "operator",
		"urllib", "http", "requests", "pdb", "bdb", "timeit", "cProfile", "profile", "pip", "asyncio",
	}, top)
}
