// Package check tests what is deployed: the chart renders, and every object decodes strictly into the types of
// Kubernetes and KEDA, so that no key is misspelt. It is a module of its own, since the product needs none of that:
//
//	go -C ops/deploy/check test ./...
package check

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// kinds are the types of all objects of the chart.
var kinds = map[string]func() any{
	"v1 ConfigMap":                  func() any { return &corev1.ConfigMap{} },
	"v1 Service":                    func() any { return &corev1.Service{} },
	"apps/v1 Deployment":            func() any { return &appsv1.Deployment{} },
	"policy/v1 PodDisruptionBudget": func() any { return &policyv1.PodDisruptionBudget{} },
	"keda.sh/v1alpha1 ScaledJob":    func() any { return &keda.ScaledJob{} },
	"keda.sh/v1alpha1 ScaledObject": func() any { return &keda.ScaledObject{} },
}

// render returns the objects of the chart by "Kind name".
func render(t *testing.T, values map[string]any) map[string]any {
	t.Helper()
	chart, err := loader.LoadDir("../helm")
	if err != nil {
		t.Fatal(err)
	}
	options := chartutil.ReleaseOptions{Name: "it", Namespace: "runs", IsInstall: true}
	full, err := chartutil.ToRenderValues(chart, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Engine{Strict: true}.Render(chart, full)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for r := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(files[name]))); ; {
			text, err := readDocument(r)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if strings.TrimSpace(text) == "" {
				continue
			}
			key, object, err := decode(text)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
			objects[key] = object
		}
	}
	return objects
}

func readDocument(r io.Reader) (string, error) {
	buffer := make([]byte, 1<<20)
	n, err := r.Read(buffer)
	return string(buffer[:n]), err
}

func decode(text string) (key string, object any, err error) {
	var head struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
	}
	if err := strict.Unmarshal([]byte(text), &head); err != nil {
		return "", nil, err
	}
	create, known := kinds[head.APIVersion+" "+head.Kind]
	if !known {
		return "", nil, fmt.Errorf("%s %s is no kind that this test knows", head.APIVersion, head.Kind)
	}
	object = create()
	return head.Kind + " " + head.Metadata.Name, object, strict.UnmarshalStrict([]byte(text), object)
}

// TestChart: every stage has its workers, and each kind of worker scales as the guide says.
func TestChart(t *testing.T) {
	objects := render(t, nil)
	job := objects["ScaledJob it-expand"].(*keda.ScaledJob)
	if got := job.Spec.Triggers[0]; got.Type != "metrics-api" || got.Metadata["valueLocation"] != "value" ||
		got.Metadata["url"] != "http://it-keeper.runs.svc:9464/scale/expand" || got.Metadata["targetValue"] != "4" {
		t.Errorf("trigger of expand: %+v", got)
	}
	if job.Spec.ScalingStrategy.Strategy != "default" || job.Spec.Rollout.Strategy != "gradual" {
		t.Errorf("strategy of expand: %+v, %+v", job.Spec.ScalingStrategy, job.Spec.Rollout)
	}
	expand := job.Spec.JobTargetRef.Template.Spec
	if args := strings.Join(expand.Containers[0].Args, " "); !strings.Contains(args, "--until-idle 60s") ||
		expand.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("expand: %s, %s", args, expand.RestartPolicy)
	}
	for _, stage := range []string{"split", "score", "filter", "evaluate"} {
		d := objects["Deployment it-"+stage].(*appsv1.Deployment)
		o := objects["ScaledObject it-"+stage].(*keda.ScaledObject)
		if d.Spec.Replicas != nil || *o.Spec.MinReplicaCount != 0 || o.Spec.ScaleTargetRef.Name != d.Name {
			t.Errorf("%s: replicas %v, %+v", stage, d.Spec.Replicas, o.Spec)
		}
	}
	for stage, disrupt := range map[string]int32{"warmup": 0, "select": 0, "update": 0} {
		d := objects["Deployment it-"+stage].(*appsv1.Deployment)
		p := objects["PodDisruptionBudget it-"+stage].(*policyv1.PodDisruptionBudget)
		if *d.Spec.Replicas != 1 || p.Spec.MaxUnavailable.IntVal != disrupt {
			t.Errorf("%s: replicas %d, %+v", stage, *d.Spec.Replicas, p.Spec)
		}
	}
	keeper := objects["Deployment it-keeper"].(*appsv1.Deployment).Spec.Template.Spec.Containers[0]
	if keeper.LivenessProbe.HTTPGet.Path != "/healthz" || keeper.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("probes of the keeper: %+v, %+v", keeper.LivenessProbe, keeper.ReadinessProbe)
	}
	config := objects["ConfigMap it-connection"].(*corev1.ConfigMap).Data["connection.yaml"]
	if !strings.Contains(config, "broker: tls://nats.example:4222") {
		t.Errorf("connection: %s", config)
	}
}

// TestMisspelt: the check finds a key that no type has.
func TestMisspelt(t *testing.T) {
	_, _, err := decode("apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { prots: [] }\n")
	if err == nil {
		t.Error("a misspelt key is accepted")
	}
}
