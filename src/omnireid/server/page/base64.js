// The bytes of a blob as base64, for JSON and for what a tab keeps; and the other way round.

export const base64 = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ""));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

export const bytesOf = (content) => Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
