{{- /*
Labels of a Job and of its pods. Input: any of workflow, run, task, index, policy, loadPolicy, completionIndex; what is
empty is left out.
*/ -}}
{{- define "trainpoint-lib.labels" -}}
{{- $lines := list -}}
{{- range $key := list "workflow" "run" "task" "index" "policy" "loadPolicy" "completionIndex" -}}
{{- with get $ $key }}{{ $lines = append $lines (printf "trainpoint.dev/%s: %s" (kebabcase $key) (. | toString | quote)) }}{{ end -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}

{{- /* Annotations of a Job and of its pods. Input: owner, any text of at most 253 characters. */ -}}
{{- define "trainpoint-lib.annotations" -}}
{{- $lines := list -}}
{{- with .owner }}{{ $lines = printf "trainpoint.dev/owner: %s" (. | toString | quote) | append $lines }}{{ end -}}
{{- with .resumeFrom }}{{ $lines = printf "trainpoint.dev/resume-from: %s" (. | toString | quote) | append $lines }}{{ end -}}
{{- join "\n" $lines -}}
{{- end -}}

{{- /*
A Job's podFailurePolicy; it needs `restartPolicy: Never`. A disruption is no failure of the program, and neither is exit
code 87 (superseded by a newer attempt); 86 (refused) and the program's own fatal codes end the Job.
Input: container (its name), fatalExitCodes, perIndex (true: they end an index of the Job, not all of it).
*/ -}}
{{- define "trainpoint-lib.podFailurePolicy" -}}
{{- $end := .perIndex | ternary "FailIndex" "FailJob" -}}
rules:
  - action: Ignore
    onPodConditions:
      - type: DisruptionTarget
        status: "True"
  - action: Ignore
    onExitCodes:
      containerName: {{ .container | quote }}
      operator: In
      values: [87]
  - action: {{ $end }}
    onExitCodes:
      containerName: {{ .container | quote }}
      operator: In
      values: [86]
  {{- with .fatalExitCodes }}
  - action: {{ $end }}
    onExitCodes:
      containerName: {{ $.container | quote }}
      operator: In
      values: {{ include "trainpoint-lib.codes" . }}
  {{- end }}
{{- end -}}

{{- /*
Restart of a container in its pod, past the Job's growing delays (container restart rules, Kubernetes 1.35 or newer).
Input: fatalExitCodes.
*/ -}}
{{- define "trainpoint-lib.restartInPlace" -}}
restartPolicy: Never
restartPolicyRules:
  - action: Restart
    exitCodes:
      operator: NotIn
      values: {{ include "trainpoint-lib.codes" (concat (list 0 86 87) (.fatalExitCodes | default list)) }}
{{- end -}}

{{- /* Exit codes, each once, in order. */ -}}
{{- define "trainpoint-lib.codes" -}}
{{- $codes := list -}}
{{- range . }}{{ $codes = append $codes (int .) }}{{ end -}}
{{- /* As texts of one length they sort as the numbers do. */ -}}
{{- $texts := list -}}
{{- range $codes | uniq }}{{ $texts = append $texts (printf "%03d" .) }}{{ end -}}
{{- $sorted := list -}}
{{- range $texts | sortAlpha }}{{ $sorted = append $sorted (. | trimPrefix "0" | trimPrefix "0" | default "0") }}{{ end -}}
[{{ join ", " $sorted }}]
{{- end -}}
