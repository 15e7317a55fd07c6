/** What the pages of the snippets have. */

export const form = document.createElement("form");
export const input = document.createElement("input");
export const lines: string[] = [];

export function show(line: string): void {
  lines.push(line);
}
