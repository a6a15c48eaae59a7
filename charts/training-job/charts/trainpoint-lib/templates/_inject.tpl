{{- /*
A pod spec with the pod contract in it, as `trainpoint inject` would put it there: what is there already stays.

    spec: {{- include "trainpoint-lib.inject" $podSpec | nindent 6 }}
*/ -}}
{{- define "trainpoint-lib.inject" -}}
{{- $spec := deepCopy . -}}
{{- $volumes := $spec.volumes | default list -}}
{{- $names := list -}}
{{- range $volumes }}{{ $names = append $names .name }}{{ end -}}
{{- range include "trainpoint-lib.volumes" $ | fromYamlArray -}}
  {{- if not (has .name $names) }}{{ $volumes = append $volumes . }}{{ end -}}
{{- end -}}
{{- $containers := list -}}
{{- range $spec.containers -}}
  {{- $containers = append $containers (include "trainpoint-lib.container" . | fromYaml) -}}
{{- end -}}
{{- $_ := set $spec "volumes" $volumes -}}
{{- $_ := set $spec "containers" $containers -}}
{{- toYaml $spec -}}
{{- end -}}

{{- /* One container with its part of the contract. */ -}}
{{- define "trainpoint-lib.container" -}}
{{- $container := deepCopy . -}}
{{- $own := $container.env | default list -}}
{{- $there := list -}}
{{- range $own }}{{ $there = append $there .name }}{{ end -}}
{{- $env := list -}}
{{- range include "trainpoint-lib.env" $ | fromYamlArray -}}
  {{- if not (has .name $there) }}{{ $env = append $env . }}{{ end -}}
{{- end -}}
{{- $_ := set $container "env" (concat $env $own) -}}
{{- $mounts := $container.volumeMounts | default list -}}
{{- $paths := list -}}
{{- range $mounts }}{{ $paths = append $paths .mountPath }}{{ end -}}
{{- range include "trainpoint-lib.volumeMounts" $ | fromYamlArray -}}
  {{- if not (has .mountPath $paths) }}{{ $mounts = append $mounts . }}{{ end -}}
{{- end -}}
{{- $_ := set $container "volumeMounts" $mounts -}}
{{- $sources := $container.envFrom | default list -}}
{{- $secrets := list -}}
{{- range $sources }}{{ $secrets = append $secrets (dig "secretRef" "name" "" .) }}{{ end -}}
{{- range include "trainpoint-lib.envFrom" $ | fromYamlArray -}}
  {{- if not (has .secretRef.name $secrets) }}{{ $sources = append $sources . }}{{ end -}}
{{- end -}}
{{- $_ := set $container "envFrom" $sources -}}
{{- toYaml $container -}}
{{- end -}}
