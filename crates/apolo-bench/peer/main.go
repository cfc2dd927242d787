// The peer P: a mutating webhook as controller-runtime's book has it, with its defaults, that makes the patch that ours makes of
// the typical Pod.
//
//	peer FOLDER --bind-address=HOST:PORT    serves /mutate with the files webhook.crt and webhook.key of FOLDER
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const ours = "secrets.apolo.us/"

type secrets struct{ decoder admission.Decoder }

// Handle adds what the annotations of a Pod ask for.
func (s *secrets) Handle(_ context.Context, request admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := s.decoder.Decode(request, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	mounts, sources, err := files(pod.Annotations[ours+"volume"])
	if err != nil {
		return admission.Denied(err.Error())
	}
	variables, err := variables(pod.Annotations[ours+"env"])
	if err != nil {
		return admission.Denied(err.Error())
	}
	if len(mounts) > 0 {
		projected := &corev1.ProjectedVolumeSource{Sources: sources}
		volume := corev1.Volume{Name: "apolo-secrets", VolumeSource: corev1.VolumeSource{Projected: projected}}
		pod.Spec.Volumes = append(pod.Spec.Volumes, volume)
	}
	var names []string
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			containers[i].VolumeMounts = append(containers[i].VolumeMounts, mounts...)
			containers[i].Env = append(containers[i].Env, variables...)
			names = append(names, containers[i].Name)
		}
	}
	pod.Annotations[ours+"containers"] = strings.Join(names, ",")
	pod.Annotations[ours+"launched-by"] = request.UserInfo.Username
	pod.Annotations[ours+"launched-by-groups"] = strings.Join(request.UserInfo.Groups, "\n")
	patched, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(request.Object.Raw, patched)
}

// files reads lines such as secret:KEY#ENTRY:/PATH.
func files(text string) (mounts []corev1.VolumeMount, sources []corev1.VolumeProjection, err error) {
	for _, line := range strings.Fields(text) {
		reference, path, found := strings.Cut(strings.TrimPrefix(line, "secret:"), ":")
		if !found || !strings.HasPrefix(path, "/") {
			return nil, nil, fmt.Errorf("%q: write secret:KEY:/PATH", line)
		}
		object, entry := entryOf(reference)
		item := object + "/" + entry
		mounts = append(mounts, corev1.VolumeMount{Name: "apolo-secrets", ReadOnly: true, MountPath: path, SubPath: item})
		sources = append(sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: object},
			Items:                []corev1.KeyToPath{{Key: entry, Path: item}},
		}})
	}
	return mounts, sources, nil
}

// variables reads lines such as NAME=secret:KEY.
func variables(text string) (variables []corev1.EnvVar, err error) {
	for _, line := range strings.Fields(text) {
		name, reference, found := strings.Cut(line, "=secret:")
		if !found {
			return nil, fmt.Errorf("%q: write NAME=secret:KEY", line)
		}
		object, entry := entryOf(reference)
		key := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: object}, Key: entry}
		variables = append(variables, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: key}})
	}
	return variables, nil
}

func entryOf(reference string) (object, entry string) {
	object, entry, found := strings.Cut(reference, "#")
	if !found {
		entry = object
	}
	return object, entry
}

func main() {
	ctrl.SetLogger(zap.New())
	host, word, err := net.SplitHostPort(strings.TrimPrefix(os.Args[2], "--bind-address="))
	if err != nil {
		panic(err)
	}
	port, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		panic(err)
	}
	server := webhook.NewServer(webhook.Options{
		Host: host, Port: port, CertDir: os.Args[1], CertName: "webhook.crt", KeyName: "webhook.key",
	})
	server.Register("/mutate", &webhook.Admission{Handler: &secrets{decoder: admission.NewDecoder(scheme)}})
	if err := server.Start(ctrl.SetupSignalHandler()); err != nil {
		panic(err)
	}
}
