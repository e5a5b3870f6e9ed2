package models

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func valid() Manifest {
	m := DefaultManifest()
	m.Name = "test"
	m.Encoder = EncoderSpec{
		Architecture: "a", Channels: 1, Stride: 16, LogitsStride: 8, Classes: []string{"a", "b"}, Size: Size{64, 32},
	}
	return m
}

func TestSet(t *testing.T) {
	m := valid()
	before := slices.Clone(m.Diffusion.Timesteps)
	got, err := m.Override("compound.lse_weight=0.25", "compound.upsample=nearest", "diffusion.timesteps=[3, 1]",
		"diffusion.aggregate=sqrt_one_minus_alpha_bar")
	if err != nil {
		t.Fatal(err)
	}
	if got.Compound != (Compound{Rule: RuleGated, LSEWeight: 0.25, Upsample: UpsampleNearest}) {
		t.Errorf("compound %+v", got.Compound)
	}
	if d := got.Diffusion; !slices.Equal(d.Timesteps, []int{3, 1}) || d.Aggregate != "sqrt_one_minus_alpha_bar" ||
		d.Noise != "antithetic" || d.Seed != 1 {
		t.Errorf("diffusion %+v", d)
	}
	if !slices.Equal(m.Diffusion.Timesteps, before) || m.Compound.LSEWeight == 0.25 {
		t.Error("Override changes the manifest that it was called on")
	}
	if same, err := m.Override(); err != nil || same.Compound != m.Compound {
		t.Errorf("Override() = %+v, %v", same.Compound, err)
	}
}

func TestSetRefuses(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{"lse_weight=1", "want diffusion.KEY=VALUE or compound.KEY=VALUE"},
		{"name.x=1", "want diffusion.KEY=VALUE or compound.KEY=VALUE"},
		{"compound.weight=1", `setting "compound.weight=1": no such key`},
		{"compound.lse_weight=much", "not a value for it"},
		{"compound.lse_weight", "want diffusion.KEY=VALUE or compound.KEY=VALUE"},
		{"compound.lse_weight=", "no value"},
		{"compound.lse_weight=-1", "compound.lse_weight: got -1, want 0 to 1000"},
		{"compound.lse_weight=1\nname: x", "the value is not YAML"},
		{"diffusion.timesteps=[1, 1]", "diffusion.timesteps: got 1"},
		{"diffusion.draws=-1", "diffusion.draws: got -1"},
		{"compound.upsample={", "the value is not YAML"},
	} {
		m := valid()
		if err := m.Set(tt.set); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Set(%q) = %v, want %q", tt.set, err, tt.want)
		}
	}
	for _, set := range []string{"diffusion.score=mse", "diffusion.noise=shared", "diffusion.draws=2", "diffusion.seed=7"} {
		m := valid()
		if _, err := m.Override(set); !errors.Is(err, ErrRecalibrate) {
			t.Errorf("Override(%q) = %v, want %v", set, err, ErrRecalibrate)
		}
		if err := m.Set(set); err != nil {
			t.Errorf("Set(%q) = %v", set, err)
		}
	}
}

func FuzzSet(f *testing.F) {
	f.Add("compound.lse_weight=0.5")
	f.Add("diffusion.timesteps=[1,2]")
	f.Add("compound.rule: {")
	f.Fuzz(func(t *testing.T, set string) {
		m := valid()
		if m.Set(set) == nil && m.Validate() != nil {
			t.Errorf("Set(%q) leaves a manifest that does not validate", set)
		}
	})
}
